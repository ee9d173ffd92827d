"""YAML that remembers where each value stands, so that a wrong row is named with file and line."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

import yaml
from pydantic import BaseModel, ValidationError

from gemma_operator.api.errors import ConfigurationError

Row = TypeVar("Row", bound=BaseModel)
_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
"""libyaml where PyYAML was built with it: ten times faster."""


class CatalogError(ConfigurationError):
    """A fact file or an override is wrong; the text says where, what, and what to do."""


@dataclass(frozen=True, slots=True)
class Document:
    """A parsed YAML file: its value, and the nodes that know their lines."""

    file: str
    value: Any
    node: yaml.Node

    def line(self, path: Sequence[str | int]) -> int:
        """Line, from 1, of the value at `path`; of its closest parent where the path ends early."""
        node = self.node
        line = node.start_mark.line
        for step in path:
            child = _child(node, step)
            if child is None:
                break
            node, line = child
        return line + 1

    def validate(self, row: type[Row]) -> Row:
        """The document as a pydantic model; raises `CatalogError` naming file and line of every wrong value."""
        try:
            return row.model_validate(self.value)
        except ValidationError as error:
            raise CatalogError("\n".join(self._lines(error))) from None

    def _lines(self, error: ValidationError) -> list[str]:
        return [
            f"{self.file}:{self.line(item['loc'])}: {describe(path_text(item['loc']), item['msg'], item['type'])}"
            for item in error.errors()
        ]


def path_text(path: Sequence[str | int]) -> str:
    """`accelerators[3].labels` of a pydantic location."""
    text = ""
    for step in path:
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else str(step)
    return text


def describe(where: str, message: str, kind: str) -> str:
    """One sentence for a pydantic error, with the remedy."""
    message = message.removeprefix("Value error, ")
    remedy = {
        "extra_forbidden": "unknown field: remove it or correct its spelling",
        "missing": "required field is missing: add it",
    }.get(kind, f"{message[:1].lower()}{message[1:]}: correct this value")
    return f"{where}: {remedy}"


def read(path: Path) -> Document:
    """Read one YAML file; raises `CatalogError` when it is no YAML or repeats a key."""
    return parse(path.read_text(encoding="utf-8"), file=path.name)


def parse(text: str, *, file: str) -> Document:
    """Parse YAML text that came from `file`; raises `CatalogError` when it is no YAML or repeats a key."""
    loader = _LOADER(text)
    try:
        node = loader.get_single_node()
        if node is None:
            raise CatalogError(f"{file}:1: the file is empty: restore it")
        _refuse_repeated_keys(node, file)
        return Document(file, loader.construct_document(node), node)
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise CatalogError(f"{file}:{line}: no valid YAML ({error.problem}): correct the syntax there") from None
    finally:
        loader.dispose()


def _child(node: yaml.Node, step: str | int) -> tuple[yaml.Node, int] | None:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            if key.value == str(step):
                return value, key.start_mark.line
    elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
        return node.value[step], node.value[step].start_mark.line
    return None


def _refuse_repeated_keys(node: yaml.Node, file: str) -> None:
    if isinstance(node, yaml.MappingNode):
        seen: dict[str, int] = {}
        for key, value in node.value:
            if key.value in seen:
                raise CatalogError(
                    f"{file}:{key.start_mark.line + 1}: key {key.value!r} was already given at line "
                    f"{seen[key.value]}: keep one of them"
                )
            seen[key.value] = key.start_mark.line + 1
            _refuse_repeated_keys(value, file)
    elif isinstance(node, yaml.SequenceNode):
        for value in node.value:
            _refuse_repeated_keys(value, file)
