"""Every row of the table is measured by the module that its target names."""

import asyncio
from importlib import import_module
from types import ModuleType

import pytest

from benchmarks.harness.figures import ITSELF, Effort, Figure
from benchmarks.peers import hand_written
from benchmarks.rows import full_cache, hot, refusals
from benchmarks.rows.peers import beside_ours
from benchmarks.targets import ALL

# One request a batch: that the rows are whole is seen here, not how fast anything is.
LEAST = Effort("test", rounds=6, turns=1, scale=0.001)


@pytest.fixture(autouse=True)
def as_little_as_can_be(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("benchmarks.harness.contest.BATCH", 1)
    monkeypatch.setattr(full_cache, "SMALL", 10)


@pytest.mark.parametrize("module", [hot, refusals, full_cache], ids=lambda module: module.__name__)
def test_each_target_of_a_group_has_a_figure(module: ModuleType) -> None:
    figures: list[Figure] = asyncio.run(module.measure(LEAST))
    rows = {figure.row for figure in figures}
    wanted = {target.name for target in ALL if target.group == module.__name__.rpartition(".")[2]}
    assert rows >= {ITSELF, *wanted}


def test_a_peer_is_measured_beside_ours_as_documented_and_tuned() -> None:
    figures = asyncio.run(beside_ours(hand_written, LEAST))
    assert [figure.row for figure in figures] == [ITSELF, "hand-written, as documented", "hand-written"]
    assert figures[2].detail["subject"]["less"].startswith("Credentials live in the program alone")
    assert figures[2].detail["versions"].keys() == {"python", "starlette", "sqlalchemy"}


@pytest.mark.parametrize("group", sorted({target.group for target in ALL}))
def test_each_group_is_a_module_that_measures(group: str) -> None:
    assert callable(import_module(f"benchmarks.rows.{group}").measure)
