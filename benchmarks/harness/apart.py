"""Rounds of a contest, each in a process of its own.

The same code is up to 15 % faster in one process than in the next, by where its objects and its code came to
lie, and many rounds of one process only tell that process's figure more sharply. So where a few per cent
matter, every round has a process of its own, and the interval over the rounds holds that difference too.
"""

import json
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from dataclasses import asdict, replace
from importlib import import_module
from typing import Any

from benchmarks.harness.contest import Entrant, Round, Times, contest
from benchmarks.harness.figures import FULL, Effort
from benchmarks.harness.worker import said_by_worker

Entrants = Callable[..., Awaitable[list[Entrant]]]


async def contest_apart(
    entrants: Entrants, effort: Effort, *arguments: str
) -> tuple[list[Entrant], list[Round]]:
    """Return the entrants, and the rounds between them; with less than the full effort all of one process.

    ``entrants`` is a function of a module, which the processes find by its name; it is called with a stack
    of what is to be closed, and with ``arguments``.
    """
    async with AsyncExitStack() as stack:
        known = await entrants(stack, *arguments)
        if effort.name != FULL.name:
            return known, await contest(known, effort)
    return known, [_round_apart(entrants, effort, arguments) for _ in range(effort.rounds)]


def _round_apart(entrants: Entrants, effort: Effort, arguments: Sequence[str]) -> Round:
    # What was started by its module is __main__ here, and has its name in its spec alone.
    spec = sys.modules[entrants.__module__].__spec__
    module = spec.name if spec else entrants.__module__
    named = [module, entrants.__name__, json.dumps(asdict(replace(effort, rounds=1)))]
    return _read(said_by_worker(sys.executable, "round", *named, *arguments))


async def one_round(module: str, name: str, effort: str, *arguments: str) -> dict[str, Any]:
    """Measure the one round of this process."""
    entrants: Entrants = getattr(import_module(module), name)
    async with AsyncExitStack() as stack:
        rounds = await contest(await entrants(stack, *arguments), Effort(**json.loads(effort)))
    return _written(rounds)


def _written(rounds: Sequence[Round]) -> dict[str, Any]:
    (only,) = rounds
    return {name: asdict(times) for name, times in only.items()}


def _read(written: Mapping[str, Mapping[str, float]]) -> Round:
    return {name: Times(**times) for name, times in written.items()}
