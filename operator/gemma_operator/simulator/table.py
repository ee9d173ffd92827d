"""Results as rows for people and as JSON for programs."""

from typing import Any, Final

from gemma_operator.simulator.types import Result

COLUMNS: Final = (
    "POLICY",
    "IN TIME",
    "TTFT P50",
    "P95",
    "P99",
    "REPLICA-HOURS",
    "COST",
    "CHANGES",
    "INTERRUPTED",
    "REFUSED",
    "MOST",
)


def cells(result: Result) -> tuple[str, ...]:
    """The row of one policy."""
    return (
        result.policy,
        f"{result.slo_attainment * 100:.2f} %",
        f"{result.ttft_p50:.2f} s",
        f"{result.ttft_p95:.2f} s",
        f"{result.ttft_p99:.2f} s",
        f"{result.replica_hours:.2f}",
        "-" if result.cost is None else f"{result.cost:.2f} USD",
        str(result.scale_changes),
        str(result.interrupted),
        str(result.refused),
        str(result.max_replicas),
    )


def to_json(result: Result) -> dict[str, Any]:
    """The stable schema of `-o json`: shares from 0 to 1, seconds, hours, US dollars."""
    return {
        "slo_attainment": round(result.slo_attainment, 6),
        "ttft_p50": round(result.ttft_p50, 4),
        "ttft_p95": round(result.ttft_p95, 4),
        "ttft_p99": round(result.ttft_p99, 4),
        "replica_hours": round(result.replica_hours, 4),
        "cost": None if result.cost is None else round(result.cost, 2),
        "scale_changes": result.scale_changes,
        "interrupted": result.interrupted,
        "refused": result.refused,
        "max_replicas": result.max_replicas,
    }
