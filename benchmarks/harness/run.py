"""A run: every group of rows in its own process, once more where an app did not equal itself."""

import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import date
from typing import Any

from benchmarks.harness.figures import ITSELF, QUICK, Effort, Figure
from benchmarks.harness.intervals import is_off
from benchmarks.harness.machine import this_machine
from benchmarks.harness.worker import figures_from
from benchmarks.targets import ALL, BY_NAME, Target

GROUPS = tuple(dict.fromkeys(target.group for target in ALL))

Measure = Callable[[str, Effort], list[Figure]]


@dataclass(frozen=True, slots=True)
class Run:
    """What was measured, where and when. ``failed`` are the groups that gave no figures."""

    effort: str
    groups: Sequence[str]
    figures: Sequence[Figure]
    failed: Sequence[str] = ()
    machine: dict[str, Any] = field(default_factory=this_machine)
    date: str = field(default_factory=lambda: date.today().isoformat())  # noqa: DTZ011

    @property
    def void(self) -> list[Figure]:
        """Where an app beside itself came out as if it were two; then the run says nothing."""
        return [figure for figure in self.figures if figure.row == ITSELF and is_off(figure)]

    @property
    def missing(self) -> list[Target]:
        """The targets of these groups that have no figure."""
        rows = {figure.row for figure in self.figures}
        return [target for target in ALL if target.group in self.groups and target.name not in rows]

    @property
    def missed(self) -> list[Target]:
        """The targets whose figures fall short."""
        found = [(BY_NAME.get(figure.row), figure.value) for figure in self.figures]
        return [target for target, value in found if target is not None and not target.holds(value)]

    @property
    def passes(self) -> bool:
        """Whether every target holds, by a run that means something. A quick run may leave rows out."""
        incomplete = self.missing and self.effort != QUICK.name
        return not (self.void or self.failed or self.missed or incomplete)


def in_worker(group: str, effort: Effort) -> list[Figure]:
    return figures_from(sys.executable, "rows", group, effort)


def run(groups: Sequence[str], effort: Effort, measure: Measure = in_worker) -> Run:
    """Measure each group. One that fails takes nothing from the others."""
    figures: list[Figure] = []
    failed: list[str] = []
    for group in groups:
        print(f"{group}: measuring", file=sys.stderr)
        began = time.monotonic()
        try:
            figures += _twice_if_void(group, effort, measure)
        except subprocess.CalledProcessError:
            # What it was, the worker told.
            failed.append(group)
        print(f"{group}: {time.monotonic() - began:.0f} s", file=sys.stderr)
    return Run(effort.name, groups, figures, failed)


def _twice_if_void(group: str, effort: Effort, measure: Measure) -> list[Figure]:
    figures = measure(group, effort)
    if not any(figure.row == ITSELF and is_off(figure) for figure in figures):
        return figures
    print(f"{group}: an app did not equal itself; once more", file=sys.stderr)
    return measure(group, effort)
