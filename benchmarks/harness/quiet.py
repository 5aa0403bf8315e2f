"""Whether a machine was left alone while something was timed, as Linux counts it."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

_TICKS = os.sysconf("SC_CLK_TCK")

T = TypeVar("T")

# The part of all cores' time that other programs may take, and what the kernel's counting is off by, in
# seconds: it counts in ticks. What was disturbed is done again so often.
TOLERANCE, COUNTING = 0.03, 0.04
MOST_TRIES = 5


@dataclass(slots=True)
class Watch:
    """Has work done again that other programs disturbed, and counts where that did not help.

    ``servers`` are the processes that take part in the work beside this one.
    """

    servers: Sequence[int]
    batches: int = 0
    disturbed: int = 0

    def left_alone(self, work: Callable[[], T]) -> T:
        """Return what ``work`` returns, from the first time that it was not disturbed, or from the last."""
        self.batches += 1
        for _ in range(MOST_TRIES):
            foreign, began = foreign_seconds(self.servers), time.monotonic()
            found = work()
            took = (time.monotonic() - began) * (os.cpu_count() or 1)
            if foreign_seconds(self.servers) - foreign <= TOLERANCE * took + COUNTING:
                return found
        self.disturbed += 1
        return found

    def remarks(self) -> str:
        """Return what a reader of a figure must know; empty where all went well."""
        if not self.disturbed:
            return ""
        return f"; other programs disturbed {self.disturbed} of {self.batches} batches"


def foreign_seconds(servers: Sequence[int]) -> float:
    """Return the CPU time of all but this process, what it started and waited for, and ``servers``."""
    return busy_seconds() - sum(os.times()[:4]) - sum(map(seconds_of, servers))


def busy_seconds() -> float:
    """Return the CPU time of the whole machine, and what its host took from it: proc(5), ``/proc/stat``."""
    user, nice, system, _idle, _iowait, irq, softirq, steal = _first_ticks()
    return (user + nice + system + irq + softirq + steal) / _TICKS


def seconds_of(process: int) -> float:
    """Return the CPU time of a process: proc(5), ``/proc/[pid]/stat``, of which the name may hold spaces."""
    after_name = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(after_name[11]) + int(after_name[12])) / _TICKS


def _first_ticks() -> list[int]:
    return [int(number) for number in Path("/proc/stat").read_text().split()[1:9]]
