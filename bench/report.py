"""What a benchmark found, as a table for people."""

from dataclasses import dataclass

from rich.console import Console
from rich.table import Table


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """One line of the report."""

    what: str
    figure: str
    aim: str
    detail: str


def show(findings: list[Finding]) -> None:
    """Print the table."""
    table = Table(title="gemma4-stack benchmarks", show_lines=True)
    for column in ("what", "figure", "aim", "how"):
        table.add_column(column, overflow="fold")
    for finding in findings:
        table.add_row(finding.what, finding.figure, finding.aim, finding.detail)
    Console(width=120).print(table)
