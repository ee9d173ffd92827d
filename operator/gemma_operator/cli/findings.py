"""What a check of `kubectl gemma doctor` looks at and says."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum

from gemma_operator.api.config import OperatorConfig
from gemma_operator.catalog.types import Catalog
from gemma_operator.cli.surroundings import Surroundings
from gemma_operator.inventory.types import Inventory


class Result(StrEnum):
    """How a check ended."""

    OK = "ok"
    WARN = "warn"
    FAIL = "fail"


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """One finding."""

    name: str
    result: Result
    message: str
    remedy: str = ""


@dataclass(frozen=True, slots=True)
class Case:
    """What every check is given."""

    seen: Surroundings
    catalog: Catalog
    config: OperatorConfig
    inventory: Inventory | None


def ok(name: str, message: str) -> Check:
    """All is well."""
    return Check(name=name, result=Result.OK, message=message)


def warn(name: str, message: str, remedy: str) -> Check:
    """It may hurt."""
    return Check(name=name, result=Result.WARN, message=message, remedy=remedy)


def fail(name: str, message: str, remedy: str) -> Check:
    """It keeps something from running."""
    return Check(name=name, result=Result.FAIL, message=message, remedy=remedy)


def hidden(case: Case, name: str, *fields: str) -> Iterator[Check]:
    """A warning where one of these could not be read."""
    for field in fields:
        if why := case.seen.hidden.get(field):
            what = field.replace("_", " ")
            yield warn(name, f"not checked: {what}: {why}", "ask somebody with the right to run this command")
            return


def some(found: list[str]) -> str:
    """The first of many names."""
    return ", ".join(found[:3]) + (f" and {len(found) - 3} more" if len(found) > 3 else "")
