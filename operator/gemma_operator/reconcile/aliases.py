"""Which GemmaDeployment of a router serves which model name: the oldest wins. Pure."""

from collections.abc import Iterable

from gemma_operator.api.spec import GemmaDeploymentSpec
from gemma_operator.cluster.resources import Object
from gemma_operator.reconcile.observed import NameTaken
from gemma_operator.reconcile.specs import parse_spec


def users(deployments: Iterable[Object], *, namespace: str, router: str) -> list[tuple[Object, GemmaDeploymentSpec]]:
    """GemmaDeployments that a router serves, oldest first."""
    found = []
    for obj in deployments:
        metadata = obj["metadata"]
        if metadata["namespace"] != namespace or metadata.get("deletionTimestamp"):
            continue
        spec, _ = parse_spec(obj)
        if spec is not None and spec.router.enabled and spec.router.name == router:
            found.append((obj, spec))
    return sorted(found, key=lambda pair: (pair[0]["metadata"]["creationTimestamp"], pair[0]["metadata"]["name"]))


def model_names(served: list[tuple[Object, GemmaDeploymentSpec]]) -> dict[str, str]:
    """Model name → name of the GemmaDeployment that answers to it.

    A deployment's own name always belongs to it, whatever an older one wrote among its aliases.
    """
    owners = {obj["metadata"]["name"]: obj["metadata"]["name"] for obj, _ in served}
    for obj, spec in served:
        for alias in spec.router.aliases:
            owners.setdefault(alias, obj["metadata"]["name"])
    return owners


def taken(deployments: Iterable[Object], obj: Object, spec: GemmaDeploymentSpec) -> NameTaken | None:
    """The first alias of a deployment that another one serves."""
    if not spec.router.enabled:
        return None
    metadata = obj["metadata"]
    owners = model_names(users(deployments, namespace=metadata["namespace"], router=spec.router.name))
    for alias in spec.router.aliases:
        owner = owners.get(alias, metadata["name"])
        if owner != metadata["name"]:
            return NameTaken(name=alias, owner=owner)
    return None
