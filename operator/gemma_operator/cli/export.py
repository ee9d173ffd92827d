"""`kubectl gemma export`: GemmaDeployments as somebody wrote them, for a backup or for Git."""

from collections.abc import Iterable
from typing import Annotated, Final

import typer

from gemma_operator.api import names
from gemma_operator.cli.completion import deployment_names
from gemma_operator.cli.failure import CliError
from gemma_operator.cli.options import Context, Kubeconfig, Namespace
from gemma_operator.cli.output import Format, warn, write
from gemma_operator.cli.session import Session, run, session
from gemma_operator.cluster.resources import Object

_LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"


def export(
    deployments: Annotated[
        list[str] | None, typer.Argument(help="GemmaDeployments; unset: all.", autocompletion=deployment_names)
    ] = None,
    namespace: Namespace = None,
    everywhere: Annotated[bool, typer.Option("--all-namespaces", "-A", help="All namespaces.")] = False,
    output: Annotated[Format, typer.Option("--output", "-o", help="yaml or json.")] = Format.yaml,
    kubeconfig: Kubeconfig = None,
    context: Context = None,
) -> None:
    """Write GemmaDeployments without what the cluster added to them: `kubectl apply -f` makes them anew anywhere."""
    if deployments and everywhere:
        raise CliError("give names or --all-namespaces, not both: -n names the namespace of the GemmaDeployments")
    if output is Format.table:
        raise CliError("an export is for programs: choose -o yaml or -o json")

    async def work() -> list[Object]:
        async with session(kubeconfig=kubeconfig, context=context, namespace=namespace) as here:
            return await _chosen(here, deployments or [], everywhere=everywhere)

    found = run(work())
    if not found:
        warn("note: no GemmaDeployment was found; -A exports those of all namespaces")
    write({"apiVersion": "v1", "kind": "List", "items": exported(found)}, form=output)


async def _chosen(here: Session, wanted: list[str], *, everywhere: bool) -> list[Object]:
    if wanted:
        return [await here.deployment(name) for name in wanted]
    return await here.deployments(None if everywhere else here.namespace)


def exported(objects: Iterable[Object]) -> list[Object]:
    """Name, namespace, labels, annotations and spec of each; those that are being deleted are left out."""
    return [_bare(obj) for obj in objects if not obj["metadata"].get("deletionTimestamp")]


def _bare(obj: Object) -> Object:
    metadata = obj["metadata"]
    kept: Object = {"name": metadata["name"], "namespace": metadata["namespace"]}
    if metadata.get("labels"):
        kept["labels"] = metadata["labels"]
    annotations = {name: text for name, text in (metadata.get("annotations") or {}).items() if name != _LAST_APPLIED}
    if annotations:
        kept["annotations"] = annotations
    return {"apiVersion": names.API_VERSION, "kind": names.KIND, "metadata": kept, "spec": obj.get("spec") or {}}
