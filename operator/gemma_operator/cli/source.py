"""Reading what a command works on: GemmaDeployments, dumps of a cluster, the operator's configuration."""

import json
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError

from gemma_operator.api import names
from gemma_operator.api.config import OperatorConfig
from gemma_operator.api.spec import GemmaDeploymentSpec, wrong_object
from gemma_operator.catalog.load import load_catalog
from gemma_operator.catalog.source import CatalogError
from gemma_operator.catalog.types import Catalog
from gemma_operator.cli.failure import CliError, fields
from gemma_operator.cli.live import Cluster, reads_nodes

Object = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class Wanted:
    """A GemmaDeployment to plan."""

    obj: Object
    spec: GemmaDeploymentSpec
    name: str
    namespace: str


def read_text(path: Path) -> str:
    """The text of a file, or of standard input for `-`."""
    try:
        return sys.stdin.read() if str(path) == "-" else path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise CliError(f"{path}: cannot be read: {getattr(error, 'strerror', None) or error}") from None


def documents(path: Path) -> list[Any]:
    """The documents of a YAML or JSON file; items of lists are taken out."""
    text = read_text(path)
    try:
        found = [json.loads(text)] if text.lstrip().startswith("{") else list(yaml.safe_load_all(text))
    except (ValueError, yaml.YAMLError) as error:
        raise CliError(f"{path}: neither YAML nor JSON: {error}") from None
    flat: list[Any] = []
    for document in found:
        if isinstance(document, Mapping) and str(document.get("kind", "")).endswith("List"):
            flat += document.get("items") or ()
        elif document is not None:
            flat.append(document)
    return flat


def all_gemma_deployments(paths: Iterable[Path], *, namespace: str) -> list[Wanted]:
    """The GemmaDeployments of several files, each of which holds some."""
    found: dict[tuple[str, str], tuple[Path, Wanted]] = {}
    for path in paths:
        for each in gemma_deployments(path, namespace=namespace):
            key = (each.namespace, each.name)
            if key in found:
                first = "twice" if found[key][0] == path else f"again, as in {found[key][0]}"
                raise CliError(f"{path}: GemmaDeployment {each.namespace}/{each.name} {first}: remove or rename one")
            found[key] = (path, each)
    return [each for _, each in found.values()]


def gemma_deployments(path: Path, *, namespace: str) -> list[Wanted]:
    """The GemmaDeployments of a file, checked; objects of other kinds are passed over."""
    found = []
    problems = []
    for number, obj in enumerate(documents(path), start=1):
        if not isinstance(obj, Mapping) or "kind" not in obj:
            raise CliError(f"{path}: document {number} is no Kubernetes object: it needs apiVersion and kind")
        if obj["kind"] != names.KIND:
            continue
        metadata = obj.get("metadata") or {}
        name = metadata.get("name") or ""
        if obj.get("apiVersion") != names.API_VERSION:
            problems.append(f"{path}: document {number}: apiVersion: write {names.API_VERSION}")
        if not name:
            problems.append(f"{path}: document {number}: metadata.name: give the GemmaDeployment a name")
        try:
            spec = GemmaDeploymentSpec.model_validate(obj.get("spec") or {})
        except ValidationError as error:
            problems.append(f"{path}: GemmaDeployment {name}:\n{fields(error, prefix='spec')}")
            continue
        problems += [f"{path}: GemmaDeployment {name}: {problem}" for problem in wrong_object(name, spec) if name]
        found.append(Wanted(obj=dict(obj), spec=spec, name=name, namespace=metadata.get("namespace") or namespace))
    if problems:
        raise CliError("\n".join(problems))
    if not found:
        raise CliError(f"{path}: no {names.KIND} in it")
    return found


def read_dump(path: Path) -> Cluster:
    """A cluster from `kubectl gemma dump` or from `kubectl get nodes,pods,... -A -o json`."""
    text = read_text(path)
    try:
        data = json.loads(text) if text.lstrip().startswith("{") else yaml.safe_load(text)
    except (ValueError, yaml.YAMLError) as error:
        raise CliError(f"{path}: neither JSON nor YAML: {error}") from None
    if not isinstance(data, Mapping) or not isinstance(data.get("items"), list):
        raise CliError(f"{path}: no list of objects: use `kubectl gemma dump` or `kubectl get nodes,pods -A -o json`")
    cluster = Cluster.of(data["items"], config=data.get("config"))
    if not cluster.nodes and reads_nodes(cluster.config):
        raise CliError(
            f"{path}: there is no Node in it: use `kubectl gemma dump` or `kubectl get nodes,pods -A -o json`"
        )
    return cluster


def configuration(path: Path | None, *, found: Mapping[str, Any] | None = None) -> OperatorConfig:
    """The operator's configuration: of a file, else what was found with the cluster, else the defaults."""
    where, data = "configuration of the cluster", found or {}
    if path is not None:
        where = str(path)
        try:
            data = yaml.safe_load(read_text(path)) or {}
        except yaml.YAMLError as error:
            raise CliError(f"{path}: not YAML: {error}") from None
    try:
        return OperatorConfig.model_validate(data)
    except ValidationError as error:
        raise CliError(f"{where}:\n{fields(error, prefix='')}") from None


def catalog_for(config: OperatorConfig) -> Catalog:
    """The catalog with the configuration's rows."""
    try:
        return load_catalog(config.accelerators)
    except CatalogError as error:
        raise CliError(str(error)) from None
