"""The median of a sample, how sure it is, and when a run says nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from math import comb
from statistics import median

from benchmarks.harness.figures import Figure

CONFIDENCE = 0.95
# An interval wider than this part of its value is never printed without saying so.
WIDEST = 0.10
# How far from 1 an app may come out beside itself.
SELF_TOLERANCE = 0.015
# With fewer values no two of them hold the median with 95 %.
FEWEST = 6


@dataclass(frozen=True, slots=True)
class Interval:
    """A median, and between what it lies with a confidence of at least 95 %."""

    value: float
    low: float
    high: float


def median_interval(sample: Sequence[float]) -> Interval:
    """Return the median of ``sample`` with the interval that two of its own values bound.

    How many values fall below the true median is binomial, with p = 1/2, whatever the values' distribution;
    so the k-th least and the k-th greatest hold it with a probability that is known exactly (W. J. Conover,
    "Practical Nonparametric Statistics", 3rd edition, §3.2; H. A. David and H. N. Nagaraja, "Order
    Statistics", 3rd edition, §7.1). Timings have long tails, and the bootstrap of a median of few values can
    only give back those values, with a confidence that is not known. Raises ValueError for fewer than 6.
    """
    if len(sample) < FEWEST:
        raise ValueError(f"an interval needs at least {FEWEST} values")
    ordered = sorted(sample)
    rank = interval_rank(len(ordered))
    return Interval(median(ordered), ordered[rank - 1], ordered[-rank])


def interval_rank(count: int) -> int:
    """Return the greatest k with P(the median is between the k-th least and the k-th greatest) ≥ 95 %."""
    below, rank = 0, 0
    # Each tail has P(fewer than k of the values are below the median).
    while (below := below + comb(count, rank)) / 2**count <= (1 - CONFIDENCE) / 2:
        rank += 1
    return rank


def is_wide(figure: Figure) -> bool:
    """Whether the interval is wider than 10 % of the value itself, however small that is."""
    return figure.high - figure.low > WIDEST * abs(figure.value)


def is_off(figure: Figure) -> bool:
    """Whether an app that was compared with itself came out as another."""
    return abs(figure.value - 1) > SELF_TOLERANCE
