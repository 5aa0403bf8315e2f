"""Servers under load that take turns of milliseconds on one core: what befalls the machine strikes all alike.

A machine that is shared is half as fast again in one second as in the next. Whole seconds of one server after
another's tell that; of two that take turns within the second, the ratio is still their own.
"""

import os
import random
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from benchmarks.harness.contest import there_and_back
from benchmarks.harness.serving import Served
from benchmarks.harness.wrk import begun, told

# In seconds: long enough for hundreds of requests, so that the switch between two is nothing beside them.
SLICE = 0.04
# What is left to wrk at the end, in which no server runs: it stops by its own clock.
MARGIN = 0.2


def served_per_second(
    servers: Mapping[str, Served], scripts: Mapping[str, Path], seconds: int, order: random.Random
) -> dict[str, float]:
    """Return how many requests of its script each server answers in a second of its own. Raises WrongAnswer.

    All are under load for ``seconds``, one is let run at a time, in a random order and then in its reverse.
    """
    ran = dict.fromkeys(servers, 0.0)
    with stopped(servers.values()) as let_run:
        loads = {name: begun(server.port, scripts[name], seconds) for name, server in servers.items()}
        end = time.monotonic() + seconds - MARGIN
        while time.monotonic() < end:
            for name in there_and_back(servers, order):
                ran[name] += let_run(servers[name])
        answered = {name: told(load)[0] for name, load in loads.items()}
    return {name: answered[name] / ran[name] for name in servers}


@contextmanager
def stopped(servers: Iterable[Served]) -> Iterator[Callable[[Served], float]]:
    """Stop the servers while the block lasts; what it gets lets one run for a slice, and tells how long."""
    processes = [server.process for server in servers]
    for process in processes:
        os.kill(process, signal.SIGSTOP)
    try:
        yield _slice
    finally:
        for process in processes:
            os.kill(process, signal.SIGCONT)


def _slice(server: Served) -> float:
    began = time.monotonic()
    os.kill(server.process, signal.SIGCONT)
    time.sleep(SLICE)
    os.kill(server.process, signal.SIGSTOP)
    return time.monotonic() - began
