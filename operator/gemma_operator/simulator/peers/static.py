"""A number that never changes."""

from collections.abc import Sequence
from dataclasses import dataclass

from gemma_operator.simulator.scaler import View


@dataclass(slots=True, kw_only=True)
class Static:
    """N replicas for ever."""

    replicas: int
    every: float = 60.0
    delay: float = 0.0
    grace: float | None = None
    fewest_first: bool = True
    reasons: Sequence[str] = ()

    @property
    def name(self) -> str:
        """Name in reports."""
        return f"static-{self.replicas}"

    def decide(self, view: View) -> int:
        """The number."""
        return self.replicas
