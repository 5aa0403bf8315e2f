"""Each package that somebody would use instead, beside ours, in an environment of its own."""

import sys
from collections.abc import Iterator
from contextlib import AsyncExitStack
from dataclasses import replace
from importlib import import_module
from importlib.metadata import PackageNotFoundError
from pkgutil import iter_modules
from subprocess import CalledProcessError
from types import ModuleType

from benchmarks import peers
from benchmarks.harness.apart import contest_apart
from benchmarks.harness.contest import Entrant, itself
from benchmarks.harness.figures import FULL, Effort, Figure
from benchmarks.harness.subjects import added_by_ours, documented, proven, versions
from benchmarks.harness.venvs import Environments, InstallFailed, NoSuchPython
from benchmarks.harness.worker import figures_from
from benchmarks.peers import ours
from benchmarks.rows.hot import OTHERS

KEY, AGAIN = "ours", "ours again"
# What is fifty times as slow needs no more rounds to be told apart.
ROUNDS = 15


def peer_modules() -> Iterator[ModuleType]:
    """Yield those of ``benchmarks.peers`` that are packages of others and no hot row."""
    for found in iter_modules(peers.__path__, "benchmarks.peers."):
        module = import_module(found.name)
        if hasattr(module, "subjects") and module not in OTHERS:
            yield module


def measure(effort: Effort) -> list[Figure]:
    """Measure every peer; with less than the full effort, those that are installed here."""
    environments = Environments()
    figures: list[Figure] = []
    for module in peer_modules():
        if effort != FULL and not is_installed(module):
            continue
        try:
            python = environments.python_for(module) if effort == FULL else sys.executable
            figures += figures_from(python, "peers", module.__name__.rpartition(".")[2], effort)
        except (InstallFailed, NoSuchPython, CalledProcessError) as error:
            # The others have their figures all the same; a target without one is missed.
            print(f"{module.__name__}: {error}", file=sys.stderr)
    return figures


def is_installed(module: ModuleType) -> bool:
    try:
        versions(module.REQUIREMENTS)
    except PackageNotFoundError:
        return False
    return True


async def beside_ours(module: ModuleType, effort: Effort) -> list[Figure]:
    """Return the added times of a peer by ours, in each round measured in the same process."""
    fewer = replace(effort, rounds=min(effort.rounds, ROUNDS))
    (_, _, *theirs), rounds = await contest_apart(entrants, fewer, module.__name__)

    def ratio(entrant: Entrant) -> Figure:
        name = entrant.subject.name
        row = name if entrant.subject.tuned else documented(name)
        return added_by_ours(row, entrant, rounds, KEY, versions=versions(module.REQUIREMENTS))

    return [itself(f"ours, beside {module.__name__}", rounds, KEY, AGAIN), *map(ratio, theirs)]


async def entrants(stack: AsyncExitStack, peer: str) -> list[Entrant]:
    one, other = await ours.with_key(stack), await ours.with_key(stack)
    theirs = await proven(await import_module(peer).subjects(stack))
    return [Entrant(KEY, one), Entrant(AGAIN, other), *theirs]
