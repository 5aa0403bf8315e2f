"""The rule by which a count of instructions is held against the one that is kept."""

import pytest

from benchmarks.instructions import verdict

KEPT = {"bare": 100_000, "key": 10_000, "token": 12_000}


@pytest.mark.parametrize(
    ("now", "moved"),
    [
        ({}, []),
        ({"key": 10_499, "token": 11_401}, []),
        ({"key": 10_501}, ["key"]),
        ({"token": 11_399}, ["token"]),
        ({"key": 20_000, "token": 20_000}, ["key", "token"]),
        ({"bare": 300_000}, []),
    ],
)
def test_a_count_may_move_by_five_percent(now: dict[str, int], moved: list[str]) -> None:
    assert [line.partition(":")[0] for line in verdict(KEPT, KEPT | now)] == moved
