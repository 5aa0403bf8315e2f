"""Live servers, and which core each side of a measurement keeps to."""

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
# How long a server may take to end, in seconds.
GRACE = 10


@dataclass(frozen=True, slots=True)
class Served:
    """A server that listens, and the credentials that its app takes."""

    port: int
    process: int
    keys: Sequence[str] = field(repr=False)
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Cores:
    """The core of the servers and that of the load; None where there is only one for both."""

    servers: int | None
    load: int | None


def cores() -> Cores:
    """Return which cores to keep to: the first and the last of those that this process may use."""
    usable = sorted(os.sched_getaffinity(0))
    return Cores(usable[0], usable[-1]) if len(usable) > 1 else Cores(None, None)


@contextmanager
def keeping_to(core: int | None) -> Iterator[None]:
    """Let this process, and what it starts meanwhile, use one core alone."""
    usable = os.sched_getaffinity(0)
    if core is not None:
        os.sched_setaffinity(0, {core})
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


@contextmanager
def serving(app: str, core: int | None = None) -> Iterator[Served]:
    """Serve an app of ``live_server.APPS`` from a process of its own, which keeps to ``core``."""
    with socket.create_server(("127.0.0.1", 0), backlog=1024) as listener:
        port = listener.getsockname()[1]
        process = _start(app, listener.fileno(), core)
    try:
        told = json.loads(process.stdout.readline())
        yield Served(port, process.pid, told["keys"], told["password"])
    finally:
        process.terminate()
        process.communicate(timeout=GRACE)


def _start(app: str, descriptor: int, core: int | None) -> "subprocess.Popen[str]":
    command = [sys.executable, "-m", "benchmarks.harness.live_server", app, str(descriptor)]
    command += [] if core is None else [str(core)]
    return subprocess.Popen(  # noqa: S603
        command, cwd=ROOT, pass_fds=[descriptor], stdout=subprocess.PIPE, text=True
    )
