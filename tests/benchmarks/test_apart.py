"""Rounds that have a process of their own each."""

import asyncio
import subprocess
import sys
from contextlib import AsyncExitStack
from importlib.machinery import ModuleSpec
from types import ModuleType

import pytest

from benchmarks.harness import apart
from benchmarks.harness.contest import Entrant
from benchmarks.harness.figures import FULL, Effort
from benchmarks.rows.refusals import refused_entrants

NAMES = ["missing", "malformed", "forged", "forged again"]


def test_with_the_full_effort_each_round_is_another_processes(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[list[str]] = []
    run = subprocess.run

    def counted(command: list[str], **options: object) -> object:
        asked.append(command)
        return run(command, **options)  # type: ignore[call-overload]

    monkeypatch.setattr(subprocess, "run", counted)
    effort = Effort(FULL.name, rounds=2, turns=1, scale=1)
    entrants, rounds = asyncio.run(apart.contest_apart(refused_entrants, effort))
    assert [entrant.name for entrant in entrants] == NAMES
    assert [list(each) for each in rounds] == [NAMES, NAMES]
    assert all(times.app > 0 and times.bare > 0 for each in rounds for times in each.values())
    assert rounds[0] != rounds[1]
    assert len(asked) == 2


def test_with_less_effort_all_are_of_one_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(subprocess, "run", lambda *_, **__: pytest.fail("a process was begun"))
    _, rounds = asyncio.run(apart.contest_apart(refused_entrants, Effort("less", 2, 1, 1)))
    assert len(rounds) == 2


def test_entrants_of_the_module_that_was_started_are_found_by_its_own_name(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    started = ModuleType("__main__")
    started.__spec__ = ModuleSpec(refused_entrants.__module__, None)
    monkeypatch.setitem(sys.modules, "__main__", started)
    monkeypatch.setattr(refused_entrants, "__module__", "__main__")
    _, rounds = asyncio.run(apart.contest_apart(refused_entrants, Effort(FULL.name, 1, 1, 1)))
    assert [list(each) for each in rounds] == [NAMES]


is_the_tests = False


async def breaking(_stack: AsyncExitStack) -> list[Entrant]:
    """Work in the process of the tests, and in no other."""
    if is_the_tests:
        return []
    raise ZeroDivisionError


def test_a_round_that_fails_fails_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(globals(), "is_the_tests", True)
    with pytest.raises(subprocess.CalledProcessError):
        asyncio.run(apart.contest_apart(breaking, Effort(FULL.name, 1, 1, 1)))
