"""Model names belong to one GemmaDeployment of a router: the oldest."""

from typing import Any

from gemma_operator.reconcile.aliases import model_names, taken, users
from gemma_operator.reconcile.specs import parse_spec


def gdep(deployment: str, created: str, *, aliases: list[str] | None = None, **router: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "ns", "name": deployment, "creationTimestamp": created},
        "spec": {"router": {"aliases": aliases or [], **router}},
    }


OLD = gdep("old", "2026-01-01T00:00:00Z", aliases=["gpt", "young"])
YOUNG = gdep("young", "2026-01-02T00:00:00Z", aliases=["gpt", "mine"])


def spec_of(obj: dict[str, Any]) -> Any:
    spec, _ = parse_spec(obj)
    return spec


def test_the_oldest_keeps_an_alias_and_the_younger_is_told() -> None:
    assert taken([YOUNG, OLD], OLD, spec_of(OLD)) is not None, "a name of another deployment is no alias"
    lost = taken([YOUNG, OLD], YOUNG, spec_of(YOUNG))
    assert lost is not None
    assert (lost.name, lost.owner) == ("gpt", "old")


def test_a_deployments_own_name_is_never_taken_by_an_alias() -> None:
    names = model_names(users([YOUNG, OLD], namespace="ns", router="gemma-router"))
    assert names == {"old": "old", "young": "young", "gpt": "old", "mine": "young"}


def test_an_alias_is_free_once_its_owner_is_gone() -> None:
    leaving = {**OLD, "metadata": {**OLD["metadata"], "deletionTimestamp": "2026-01-03T00:00:00Z"}}
    assert taken([YOUNG, leaving], YOUNG, spec_of(YOUNG)) is None


def test_other_routers_and_namespaces_do_not_clash() -> None:
    other = gdep("third", "2025-01-01T00:00:00Z", aliases=["mine"], name="other-router")
    elsewhere = gdep("fourth", "2025-01-01T00:00:00Z", aliases=["mine"])
    elsewhere["metadata"]["namespace"] = "elsewhere"
    disabled = gdep("fifth", "2025-01-01T00:00:00Z", aliases=["mine"], enabled=False)
    assert taken([YOUNG, other, elsewhere, disabled], YOUNG, spec_of(YOUNG)) is None
