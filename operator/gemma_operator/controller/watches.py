"""Watch streams by kopf: events go into the caches and keys into the queues, nothing else.

No handler keeps state on objects: no kopf annotations, no finalizers.
"""

from collections.abc import Callable
from typing import Any

import kopf

from gemma_operator.cluster.resources import Resource
from gemma_operator.cluster.store import Store

OnEvent = Callable[[Resource, dict[str, Any], bool], None]
"""Called with the kind, the object, and whether it is gone."""


class _NoDiffBase(kopf.DiffBaseStorage):
    """Keeps no last-handled configuration: reconciling is level-triggered."""

    def fetch(self, **_: Any) -> None:
        return None

    def build(self, **_: Any) -> kopf.BodyEssence:
        # kopf's own copies the whole object with each event, for a comparison that nobody makes.
        return kopf.BodyEssence()

    def store(self, **_: Any) -> None:
        return None


class _NoProgress(kopf.ProgressStorage):
    """Keeps no handler progress: no handler has any."""

    def fetch(self, **_: Any) -> None:
        return None

    def store(self, **_: Any) -> None:
        return None

    def purge(self, **_: Any) -> None:
        return None

    def touch(self, **_: Any) -> None:
        return None

    def clear(self, *, essence: kopf.BodyEssence) -> kopf.BodyEssence:
        return essence


def settings(stores: list[Store]) -> kopf.OperatorSettings:
    """kopf's settings for pure watching."""
    made = kopf.OperatorSettings()
    made.persistence.diffbase_storage = _NoDiffBase()
    made.persistence.progress_storage = _NoProgress()
    made.posting.enabled = False
    made.peering.standalone = True
    made.scanning.disabled = True
    made.watching.server_timeout = 300
    made.watching.chunk_size = 500
    made.networking.connect_timeout = 5
    made.networking.request_timeout = 30
    made.networking.error_backoffs = [1, 2, 4, 8, 16, 30, 30, 30]
    made.execution.max_workers = 1
    for store in stores:
        if store.selector:
            resource = store.resource
            made.watching.label_selectors[resource.group, resource.version, resource.plural] = store.selector
    return made


def registry(stores: list[Store], *, on_event: OnEvent) -> kopf.OperatorRegistry:
    """One low-level handler for each kind that is cached."""
    made = kopf.OperatorRegistry()

    @kopf.on.login(registry=made)
    def login(**kwargs: Any) -> kopf.ConnectionInfo | None:
        return kopf.login_with_service_account(**kwargs) or kopf.login_with_kubeconfig(**kwargs)

    for store in stores:
        resource = store.resource
        kopf.on.event(resource.group, resource.version, resource.plural, id=f"watch-{resource.plural}", registry=made)(
            _handler(resource, on_event)
        )
    return made


def _handler(resource: Resource, on_event: OnEvent) -> Callable[..., Any]:
    async def handle(*, event: dict[str, Any], **_: Any) -> None:
        obj = dict(event["object"])
        obj.setdefault("apiVersion", resource.api_version)
        obj.setdefault("kind", resource.kind)
        on_event(resource, obj, event.get("type") == "DELETED")

    return handle
