"""A cache of trimmed objects of one kind, fed by watch events, by own writes and by lists.

kopf reports no deletion that happened while a watch was down, so each cache is compared with a list every few
minutes. Events, writes and lists race: the higher resource version wins, and a deleted uid never comes back.
"""

from collections import OrderedDict
from collections.abc import Callable, Hashable, Iterable, Iterator

from gemma_operator.cluster import telemetry
from gemma_operator.cluster.client import Client
from gemma_operator.cluster.resources import Object, Resource

Key = tuple[str, str]
"""Namespace (empty for cluster-scoped kinds) and name."""

_TOMBSTONES = 20_000


def key_of(obj: Object) -> Key:
    """Namespace and name of an object."""
    metadata = obj["metadata"]
    return metadata.get("namespace") or "", metadata["name"]


def _version(obj: Object) -> int:
    return int(obj["metadata"].get("resourceVersion") or 0)


class Store:
    """The objects of one kind that the operator plans from."""

    def __init__(
        self,
        resource: Resource,
        *,
        trim: Callable[[Object], Object],
        selector: str = "",
        index: Callable[[Object], Iterable[Hashable]] = lambda obj: (),
        namespaces: Iterable[str] = (),
    ) -> None:
        """`namespaces`: those whose objects are kept here; none: the whole cluster's."""
        self.resource = resource
        self.namespaces = tuple(namespaces)
        self.selector = selector
        self._trim = trim
        self._index_of = index
        self._objects: dict[Key, Object] = {}
        self._index: dict[Hashable, set[Key]] = {}
        self._deleted: OrderedDict[str, None] = OrderedDict()
        self.revision = 0
        """Grows with every change."""
        telemetry.CACHE_OBJECTS.labels(kind=resource.kind).set(0)

    def __len__(self) -> int:
        return len(self._objects)

    def __iter__(self) -> Iterator[Object]:
        return iter(self._objects.values())

    def get(self, key: Key) -> Object | None:
        """The cached object, or `None`."""
        return self._objects.get(key)

    def by(self, value: Hashable) -> list[Object]:
        """Cached objects that the index files under a value, by namespace and name."""
        return [self._objects[key] for key in sorted(self._index.get(value, ()))]

    def upsert(self, obj: Object) -> tuple[bool, Object | None]:
        """Take a newer state of an object: whether it was newer, and what was known before."""
        key = key_of(obj)
        before = self._objects.get(key)
        if obj["metadata"].get("uid") in self._deleted:
            return False, before
        if before is not None and _version(before) >= _version(obj):
            return False, before
        self._unfile(key, before)
        trimmed = self._objects[key] = self._trim(obj)
        for value in self._index_of(trimmed):
            self._index.setdefault(value, set()).add(key)
        self._changed()
        return True, before

    def remove(self, obj: Object) -> Object | None:
        """Forget a deleted object: what was known of it, or `None`."""
        uid = obj["metadata"].get("uid", "")
        self._deleted[uid] = None
        while len(self._deleted) > _TOMBSTONES:
            self._deleted.popitem(last=False)
        key = key_of(obj)
        known = self._objects.get(key)
        if known is None or known["metadata"].get("uid") != uid:
            return None
        self._unfile(key, known)
        del self._objects[key]
        self._changed()
        return known

    async def relist(self, client: Client) -> list[Object]:
        """Compare with a list; the objects, old or new, that the cache had wrong."""
        wrong: list[Object] = []
        for namespace in self.namespaces or [None]:
            items, version = await client.list(self.resource, namespace=namespace, labels=self.selector)
            for item in items:
                item.setdefault("apiVersion", self.resource.api_version)
                item.setdefault("kind", self.resource.kind)
            seen = {key_of(item) for item in items}
            gone = [
                obj
                for key, obj in self._objects.items()
                if key not in seen and namespace in (None, key[0]) and _version(obj) <= int(version)
            ]
            for obj in gone:
                self.remove(obj)
            wrong += gone + [item for item in items if self.upsert(item)[0]]
        return wrong

    def _unfile(self, key: Key, obj: Object | None) -> None:
        for value in self._index_of(obj) if obj else ():
            keys = self._index.get(value, set())
            keys.discard(key)
            if not keys:
                self._index.pop(value, None)

    def _changed(self) -> None:
        self.revision += 1
        telemetry.CACHE_OBJECTS.labels(kind=self.resource.kind).set(len(self._objects))
