"""What a row of the table says, and how much work goes into it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# The row of a figure that compares an app with itself, built twice. A run in which one is off is void.
ITSELF = "itself"


@dataclass(frozen=True, slots=True)
class Figure:
    """What was measured for one row: a ratio with its 95 % interval, or a count.

    A count has ``low == value == high``. ``row`` is the name of its target, where it has one, in
    ``benchmarks.targets``. ``detail`` is what a reader of the JSON wants beside it; all of it can be JSON.
    Its ``note``, a short text, is shown in the table.
    """

    row: str
    value: float
    low: float
    high: float
    detail: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Effort:
    """How long a run may take.

    ``rounds`` is how often apps are compared, ``turns`` how often each of them comes twice in a round, and
    ``scale`` what the numbers of the big rows (a million keys) are multiplied by.
    """

    name: str
    rounds: int
    turns: int
    scale: float

    def scaled(self, number: int) -> int:
        return max(1, round(number * self.scale))


FULL = Effort("full", rounds=25, turns=20, scale=1.0)
QUICK = Effort("quick", rounds=8, turns=2, scale=0.02)
