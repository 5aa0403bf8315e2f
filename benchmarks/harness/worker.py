"""One row's module, or one peer, in a process of its own.

    python -m benchmarks.harness.worker rows|peers NAME full|quick

It prints the figures as JSON in its last line. Each has its own process, so that none finds the memory and
the threads that another left behind.
"""

import inspect
import json
import subprocess
import sys
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import asdict
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, TypeVar

import anyio

from benchmarks.harness.figures import FULL, QUICK, Effort, Figure

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
EFFORTS = {effort.name: effort for effort in (FULL, QUICK)}


def figures_from(python: str, kind: str, name: str, effort: Effort) -> list[Figure]:
    """Return what a worker measured. Raises subprocess.CalledProcessError."""
    return [Figure(**figure) for figure in said_by_worker(python, kind, name, effort.name)]


def said_by_worker(python: str, *arguments: str) -> Any:
    """Return the JSON that a worker ends with. Raises subprocess.CalledProcessError."""
    command = [python, "-m", "benchmarks.harness.worker", *arguments]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)  # noqa: S603
    return json.loads(done.stdout.splitlines()[-1])


def measured(measure: Callable[..., T | Awaitable[T]], *arguments: object) -> T:
    """Return what a function measured, which may be async; then on the loop that servers use."""
    if not inspect.iscoroutinefunction(measure):
        return measure(*arguments)  # type: ignore[return-value]
    options = {"use_uvloop": find_spec("uvloop") is not None}
    return anyio.run(measure, *arguments, backend_options=options)


def main(arguments: Sequence[str]) -> None:
    kind, name, *rest = arguments
    if kind == "round":
        # Here, because most workers measure something else.
        from benchmarks.harness.apart import one_round

        print(json.dumps(measured(one_round, name, *rest)))
        return
    effort = EFFORTS[rest[0]]
    if kind == "rows":
        figures = measured(import_module(f"benchmarks.rows.{name}").measure, effort)
    else:
        # Here, because the rows import what starts workers.
        from benchmarks.rows.peers import beside_ours

        figures = measured(beside_ours, import_module(f"benchmarks.peers.{name}"), effort)
    print(json.dumps([asdict(figure) for figure in figures]))


if __name__ == "__main__":
    main(sys.argv[1:])
