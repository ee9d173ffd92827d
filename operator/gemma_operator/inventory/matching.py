"""Whether a node takes a pod: taints and tolerations, node selectors and node affinity, as the scheduler decides."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from gemma_operator.inventory.types import Placement, Taint


def tolerates(toleration: Mapping[str, Any], taint: Taint) -> bool:
    """Whether one toleration covers a taint."""
    effect = toleration.get("effect") or ""
    if effect and effect != taint.effect:
        return False
    key = toleration.get("key") or ""
    if key and key != taint.key:
        return False
    if toleration.get("operator") == "Exists":
        return True
    return bool(key) and (toleration.get("value") or "") == taint.value


def untolerated(taints: Iterable[Taint], tolerations: Sequence[Mapping[str, Any]]) -> tuple[Taint, ...]:
    """Taints that no toleration covers."""
    return tuple(taint for taint in taints if not any(tolerates(each, taint) for each in tolerations))


def _holds(expression: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    value = labels.get(expression["key"])
    values: Sequence[str] = expression.get("values") or []
    match expression["operator"]:
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value is None or value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt" | "Lt" as operator:
            try:
                left, right = int(value or ""), int(values[0])
            except (ValueError, IndexError):
                return False
            return left > right if operator == "Gt" else left < right
        case _:
            return False


def matches_terms(terms: Sequence[Mapping[str, Any]], *, labels: Mapping[str, str], name: str) -> bool:
    """Whether a node is selected by OR-ed node selector terms; no terms select every node, an empty term none."""
    if not terms:
        return True
    for term in terms:
        expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
        if (
            (expressions or fields)
            and all(_holds(expression, labels) for expression in expressions)
            and all(_holds(each, {"metadata.name": name}) for each in fields)
        ):
            return True
    return False


def matches_selector(selector: Mapping[str, str], labels: Mapping[str, str]) -> bool:
    """Whether a node has every label of a node selector."""
    return all(labels.get(key) == value for key, value in selector.items())


def admits(placement: Placement, *, labels: Mapping[str, str], taints: Iterable[Taint], name: str) -> bool:
    """Whether a node of that name, labels and taints takes a pod with this placement."""
    return (
        matches_selector(placement.selector, labels)
        and matches_terms(placement.terms, labels=labels, name=name)
        and not untolerated(taints, placement.tolerations)
    )
