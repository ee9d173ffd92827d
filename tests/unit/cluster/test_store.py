"""Caches survive the races between watch events, own writes and lists."""

from typing import Any, cast

from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import PODS, Object
from gemma_operator.cluster.store import Store


def pod(name: str, version: int, *, uid: str | None = None, app: str = "x") -> Object:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "namespace": "ns",
            "name": name,
            "uid": uid or f"uid-{name}",
            "resourceVersion": str(version),
            "labels": {"app": app},
        },
    }


class FakeList:
    """Answers LIST with given objects."""

    def __init__(self, items: list[Object], version: int) -> None:
        self.items, self.version = items, str(version)

    async def list(self, resource: Any, **_: Any) -> tuple[list[Object], str]:
        return self.items, self.version


def listed(*items: Object, version: int) -> Client:
    return cast(Client, FakeList(list(items), version))


def make() -> Store:
    return Store(PODS, trim=dict, index=lambda obj: [obj["metadata"]["labels"]["app"]])


def test_an_older_state_never_replaces_a_newer_one() -> None:
    store = make()
    assert store.upsert(pod("a", 5)) == (True, None)
    changed, _ = store.upsert(pod("a", 4))
    assert not changed
    known = store.get(("ns", "a"))
    assert known is not None
    assert known["metadata"]["resourceVersion"] == "5"


def test_a_deleted_object_does_not_come_back_from_a_late_event() -> None:
    store = make()
    store.upsert(pod("a", 5))
    store.remove(pod("a", 6))
    store.upsert(pod("a", 5))
    assert store.get(("ns", "a")) is None


def test_an_object_of_the_same_name_may_be_made_anew() -> None:
    store = make()
    store.upsert(pod("a", 5))
    store.remove(pod("a", 6))
    assert store.upsert(pod("a", 7, uid="another")) == (True, None)
    assert store.remove(pod("a", 8)) is None, "the deletion of the old one must not remove the new one"
    assert len(store) == 1


def test_the_index_follows_changes_and_deletions() -> None:
    store = make()
    store.upsert(pod("a", 1, app="x"))
    store.upsert(pod("b", 2, app="x"))
    store.upsert(pod("a", 3, app="y"))
    assert [obj["metadata"]["name"] for obj in store.by("x")] == ["b"]
    assert [obj["metadata"]["name"] for obj in store.by("y")] == ["a"]
    store.remove(pod("b", 4))
    assert store.by("x") == []


async def test_a_list_finds_missed_deletions_and_missed_changes() -> None:
    store = make()
    store.upsert(pod("gone", 1))
    store.upsert(pod("stale", 2))
    store.upsert(pod("same", 3))
    wrong = await store.relist(listed(pod("stale", 9), pod("same", 3), pod("new", 8), version=10))
    assert sorted(obj["metadata"]["name"] for obj in wrong) == ["gone", "new", "stale"]
    assert sorted(obj["metadata"]["name"] for obj in store) == ["new", "same", "stale"]


async def test_a_list_does_not_remove_what_was_created_after_it_was_taken() -> None:
    store = make()
    store.upsert(pod("young", 20))
    assert await store.relist(listed(version=10)) == []
    assert len(store) == 1
