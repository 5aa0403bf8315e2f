"""Figures of rows that time in their own way: a ratio's sample over rounds, and counts."""

from collections.abc import Sequence
from math import ceil
from typing import Any

from benchmarks.harness.figures import Figure
from benchmarks.harness.intervals import median_interval


def figure_of(row: str, ratios: Sequence[float], **detail: Any) -> Figure:
    """Return the median of one ratio a round, with its interval."""
    found = median_interval(ratios)
    return Figure(row, found.value, found.low, found.high, detail)


def count_of(row: str, value: float, **detail: Any) -> Figure:
    return Figure(row, value, value, value, detail)


def percentile(sample: Sequence[float], part: float) -> float:
    """Return the least value that ``part`` of the sample does not exceed."""
    return sorted(sample)[ceil(part * len(sample)) - 1]
