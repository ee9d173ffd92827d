"""Does a live object still carry every field that was applied?

The comparison follows server-side apply: what others added is theirs and no drift, unless it is in a part that the API
treats as one value; lists that it merges by key are compared by key. What the API server changes on the way in
(defaults, empty fields that it drops, other spellings of a quantity) is no drift either. So drift is exactly what an
apply would change, and an apply ends it.
"""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from gemma_operator.inventory.quantity import millis

_LIST_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "initContainers": ("name",),
    "ownerReferences": ("uid",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "volumeMounts": ("mountPath",),
    "volumes": ("name",),
}
"""Lists that the API merges by key (`x-kubernetes-list-map-keys`), for the kinds that are rendered; `ports` apart.

Every other list is one value: arguments, tolerations, node selector terms, rules of a NetworkPolicy, subjects.
"""
_PORT_KEYS: Final = (("containerPort", "protocol"), ("port", "protocol"))
_ATOMIC_MAPS: Final = frozenset(
    {
        "selector",
        "labelSelector",
        "podSelector",
        "namespaceSelector",
        "nodeSelector",
        "secretKeyRef",
        "configMapKeyRef",
        "roleRef",
    }
)
"""Maps that are one value (`x-kubernetes-map-type: atomic`)."""
_STRING_MAPS: Final = frozenset({"annotations", "data", "labels", "matchLabels", "nodeSelector"})
"""Maps in which an empty string is a value that the API server keeps."""
_ATOMIC_DEFAULTS: Final[Mapping[str, Any]] = {"protocol": "TCP"}
"""What the API server adds inside parts that are one value."""
_QUANTITY_PARENTS: Final = frozenset({"requests", "limits"})

Path = tuple[str, ...]


def first_drift(*, applied: Mapping[str, Any], live: Mapping[str, Any]) -> str | None:
    """Path of the first field that an apply would change, such as `spec.template.spec.containers[engine].image`.

    `None`: a write would change nothing. Values are left out of the path, they may be somebody's secret.
    """
    path = _Comparison(kind=str(applied.get("kind", ""))).difference(applied, live, path=(), atomic=False)
    return None if path is None else "".join(path).removeprefix(".")


class _Comparison:
    def __init__(self, *, kind: str) -> None:
        self._grows = kind == "PersistentVolumeClaim"

    def difference(self, applied: Any, live: Any, *, path: Path, atomic: bool) -> Path | None:
        if isinstance(applied, Mapping):
            return self._map(applied, live, path=path, atomic=atomic or _field(path) in _ATOMIC_MAPS)
        if _is_list(applied):
            return self._list(applied, live, path=path, atomic=atomic)
        if _same(applied, live) or (_is_quantity(path) and self._same_quantity(applied, live)):
            return None
        return path

    def _map(self, applied: Mapping[str, Any], live: Any, *, path: Path, atomic: bool) -> Path | None:
        strings = _field(path) in _STRING_MAPS
        if live is None and not strings:
            return _first_value(applied, path=path)
        live = {} if live is None else live
        if not isinstance(live, Mapping):
            return path
        for key, value in applied.items():
            below = (*path, f"[{key}]" if strings else f".{key}")
            if strings and key not in live:
                return below
            found = self.difference(value, live.get(key), path=below, atomic=atomic)
            if found is not None:
                return found
        if atomic:
            for key, value in live.items():
                if key not in applied and _ATOMIC_DEFAULTS.get(key, ...) != value:
                    added = _first_value(value, path=(*path, f".{key}"))
                    if added is not None or strings:
                        return (*path, f"[{key}]" if strings else f".{key}")
        return None

    def _list(self, applied: Sequence[Any], live: Any, *, path: Path, atomic: bool) -> Path | None:
        live = [] if live is None else live
        if not _is_list(live):
            return path
        keys = _list_keys(applied, path=path)
        if keys is None:
            if len(applied) != len(live):
                return path
            pairs = [(f"[{index}]", *pair) for index, pair in enumerate(zip(applied, live, strict=True))]
            atomic = True
        else:
            by_key = {_key(item, keys): item for item in live}
            pairs = [(_shown(item, keys), item, by_key.get(_key(item, keys))) for item in applied]
        for name, wanted, found in pairs:
            below = (*path, name)
            if found is None:
                return below
            difference = self.difference(wanted, found, path=below, atomic=atomic)
            if difference is not None:
                return difference
        return None

    def _same_quantity(self, applied: Any, live: Any) -> bool:
        if not isinstance(applied, str | int) or not isinstance(live, str | int):
            return False
        try:
            wanted, found = millis(applied), millis(live)
        except (ValueError, ArithmeticError):
            return False
        # A claim can be expanded under us and cannot shrink.
        return wanted == found or (self._grows and found > wanted)


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _list_keys(items: Sequence[Any], *, path: Path) -> tuple[str, ...] | None:
    if _field(path) != "ports":
        return _LIST_KEYS.get(_field(path))
    if ".ingress" in path or not items:
        return None
    return next((keys for keys in _PORT_KEYS if keys[0] in items[0]), None)


def _key(item: Any, keys: tuple[str, ...]) -> tuple[Any, ...]:
    return tuple(item.get(key, "TCP" if key == "protocol" else None) for key in keys)


def _shown(item: Any, keys: tuple[str, ...]) -> str:
    return f"[{'/'.join(str(item[key]) for key in keys if key in item)}]"


def _field(path: Path) -> str:
    return path[-1].removeprefix(".") if path else ""


def _is_quantity(path: Path) -> bool:
    return _field(path) == "sizeLimit" or _field(path[:-1]) in _QUANTITY_PARENTS


def _same(applied: Any, live: Any) -> bool:
    """Whether two scalars are equal; the API server drops `false`, `0` and `""` where they mean nothing."""
    if live is None:
        return not applied
    return type(applied) is type(live) and bool(applied == live)


def _first_value(value: Any, *, path: Path) -> Path | None:
    """The first field with something in it; empty ones are dropped by the API server."""
    if not isinstance(value, Mapping):
        return path if value else None
    found = (_first_value(inner, path=(*path, f".{key}")) for key, inner in value.items())
    return next((inner for inner in found if inner is not None), None)
