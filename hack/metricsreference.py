"""`docs/reference/metrics.md`: what operator and routers export, from their own registries, and the chart's alerts."""

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml
from gemma_operator.cluster import telemetry
from gemma_operator.controller.fleet_metrics import FleetCollector
from gemma_router.metrics import GAUGES, HELD, Metrics
from prometheus_client import Metric
from prometheus_client.metrics import MetricWrapperBase

ALERTS: Final = Path(__file__).resolve().parent.parent / "charts" / "gemma4-stack" / "files" / "alerts.yaml"
_PLACEHOLDER: Final = re.compile(r"\{\{ \$(?:labels\.)?(\w+)(?: \| \w+)? \}\}")
_HEAD: Final = """# Metrics

Made from the registries of operator and router, and from the alerts of the chart, by `make manifests`; do not edit.

How to have them read, and the dashboards: [the chart](../../charts/gemma4-stack/README.md#prometheus-and-grafana).
Engines export vLLM's own metrics at `/metrics` of port 8000.
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """One metric family."""

    name: str
    """Without the suffix that its series have."""
    kind: str
    labels: tuple[str, ...]
    help: str

    @property
    def series(self) -> tuple[str, ...]:
        """Names of its series."""
        return tuple(
            self.name + suffix
            for suffix in {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count")}.get(self.kind, ("",))
        )


def operator_families() -> list[Family]:
    """What the operator exports of itself and of each GemmaDeployment."""
    own = [value for value in vars(telemetry).values() if isinstance(value, MetricWrapperBase)]
    return [*map(_of_object, own), *map(_of_family, FleetCollector([], leads=lambda: True).describe())]


def router_families() -> list[Family]:
    """What a router pod exports."""
    metrics = Metrics(lambda: {"chat": dict.fromkeys((*GAUGES, *HELD), 0)})
    own = [_of_object(value) for value in vars(metrics).values() if isinstance(value, MetricWrapperBase)]
    named = {family.name for family in own}
    return [*own, *(_of_family(family) for family in metrics.registry.collect() if family.name not in named)]


def metrics_reference() -> str:
    """The whole page."""
    return (
        "\n".join(
            [
                _HEAD,
                "## Operator\n",
                "Port 8080, `/metrics`. Of several operators only the one that works tells of the fleet.\n",
                *_table(operator_families()),
                "\n## Router\n",
                "Port 4001 of each router pod, `/metrics`; not part of the router's Service.\n",
                *_table(router_families()),
                "\n## Alerts\n",
                "`metrics.rules.enabled` of the chart installs them.\n",
                "| alert | severity | after | says |\n| --- | --- | --- | --- |",
                *_alerts(),
            ]
        )
        + "\n"
    )


def _of_object(metric: MetricWrapperBase) -> Family:
    (family,) = metric.describe()
    return Family(name=family.name, kind=family.type, labels=tuple(metric._labelnames), help=family.documentation)


def _of_family(family: Metric) -> Family:
    labels: Any = getattr(family, "_labelnames", ())
    return Family(name=family.name, kind=family.type, labels=tuple(labels), help=family.documentation)


def _table(families: Iterable[Family]) -> Iterator[str]:
    yield "| metric | type | labels | meaning |\n| --- | --- | --- | --- |"
    for family in sorted(families, key=lambda each: each.name):
        shown = family.name if family.kind == "histogram" else family.series[0]
        labels = " ".join(f"`{label}`" for label in family.labels) or "–"
        yield f"| `{shown}` | {family.kind} | {labels} | {family.help.rstrip('.')}. |"


def _alerts() -> Iterator[str]:
    for group in yaml.safe_load(ALERTS.read_text())["groups"]:
        for rule in group["rules"]:
            notes = rule["annotations"]
            says = _PLACEHOLDER.sub(r"{\1}", f"{notes['summary']} {notes['description']}")
            yield f"| `{rule['alert']}` | {rule['labels']['severity']} | {rule['for']} | {says} |"
