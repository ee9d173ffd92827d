"""Options that several commands share."""

from pathlib import Path
from typing import Annotated

import typer

from gemma_operator.cli.output import Format

Output = Annotated[Format, typer.Option("--output", "-o", help="table, json or yaml.")]
Config = Annotated[
    Path | None, typer.Option("--config", help="The operator's configuration; unset: the one of the cluster or dump.")
]
ConfigFile = Annotated[Path | None, typer.Option("--config", help="The operator's configuration; unset: the defaults.")]
Kubeconfig = Annotated[str | None, typer.Option("--kubeconfig", help="Path of a kubeconfig; unset: $KUBECONFIG.")]
Context = Annotated[str | None, typer.Option("--context", help="Context of the kubeconfig.")]
Namespace = Annotated[
    str | None, typer.Option("--namespace", "-n", help="Namespace; unset: the one of the kubeconfig's context.")
]
Nodes = Annotated[
    Path | None,
    typer.Option("--nodes", help="A dump, or `kubectl get nodes,pods -A -o json`; unset: the live cluster."),
]
