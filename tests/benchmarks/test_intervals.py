"""The median, between what it lies, and when a figure says too little or nothing."""

import pytest

from benchmarks.harness.figures import ITSELF, Figure
from benchmarks.harness.intervals import interval_rank, is_off, is_wide, median_interval


# Conover, "Practical Nonparametric Statistics", table A3: the binomial distribution with p = 1/2.
@pytest.mark.parametrize(
    ("values", "rank"), [(6, 1), (8, 1), (9, 2), (12, 3), (15, 4), (20, 6), (25, 8), (30, 10), (50, 18)]
)
def test_the_interval_ends_at_the_values_that_the_binomial_distribution_names(values: int, rank: int) -> None:
    assert interval_rank(values) == rank


def test_median_and_interval_of_known_values() -> None:
    found = median_interval([5, 15, 1, 13, 11, 3, 9, 7, 2, 14, 4, 12, 6, 10, 8])
    assert (found.low, found.value, found.high) == (4, 8, 12)


def test_one_wild_value_moves_nothing() -> None:
    quiet = [float(value) for value in range(15)]
    assert median_interval([*quiet[:-1], 1e9]) == median_interval(quiet)


def test_too_few_values_have_no_interval() -> None:
    with pytest.raises(ValueError, match="at least 6"):
        median_interval([1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("value", "low", "high", "wide"),
    [
        (1.0, 0.951, 1.05, False),
        (1.0, 0.94, 1.05, True),
        # By the value itself, however small it is beside the request.
        (0.05, 0.048, 0.052, False),
        (0.05, 0.047, 0.053, True),
        (0.0, -0.01, 0.01, True),
        (-1.0, -1.04, -0.96, False),
        (1, 1, 1, False),
    ],
)
def test_an_interval_is_wide_above_a_tenth_of_its_value(
    value: float, low: float, high: float, wide: bool
) -> None:
    assert is_wide(Figure("row", value, low, high)) is wide


@pytest.mark.parametrize(
    ("value", "off"), [(1.0, False), (1.0149, False), (0.9851, False), (1.016, True), (0.984, True)]
)
def test_an_app_equals_itself_within_15_parts_in_1000(value: float, off: bool) -> None:
    assert is_off(Figure(ITSELF, value, value, value)) is off
