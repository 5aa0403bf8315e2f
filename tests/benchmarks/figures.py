"""Figures and runs with known numbers."""

from collections.abc import Sequence
from typing import Any

from benchmarks.harness.figures import FULL, ITSELF, Figure
from benchmarks.harness.run import Run
from benchmarks.targets import ALL, Direction, Target

MACHINE = {
    "cpu": "A CPU",
    "cores": 2,
    "memory_gib": 8,
    "system": "Linux x86_64",
    "python": "CPython 3.11.7",
    "libraries": {"starlette": "1.0.0"},
}


def figure(row: str, value: float, spread: float = 0.01, **detail: Any) -> Figure:
    return Figure(row, value, value - spread, value + spread, detail)


def holding(target: Target) -> Figure:
    better = target.bound * 0.9 if target.direction is Direction.AT_MOST else target.bound * 1.1
    return figure(target.name, better, spread=better / 100)


def falling_short(target: Target) -> Figure:
    worse = target.bound * 1.1 + 1 if target.direction is Direction.AT_MOST else target.bound * 0.9
    return figure(target.name, worse, spread=worse / 100)


def itself(value: float = 1.0) -> Figure:
    return figure(ITSELF, value, of="an app")


def all_holding(group: str) -> list[Figure]:
    return [itself(), *(holding(target) for target in ALL if target.group == group)]


def run_of(*figures: Figure, groups: Sequence[str] = ("hot",), effort: str = FULL.name, **more: Any) -> Run:
    return Run(effort, groups, figures, machine=MACHINE, date="2026-01-02", **more)


def subject(name: str, low: float, value: float, high: float, **more: Any) -> dict[str, Any]:
    return {
        "name": name,
        "package": name,
        "tuned": True,
        "added_us": [low, value, high],
        "bare_us": 7.0,
        "more": "Much.",
        "less": "Little.",
        **more,
    }
