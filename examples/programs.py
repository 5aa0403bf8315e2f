"""Several programs that run together, for the examples that are made of more than one."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field

from examples.development import HOST, listening

START_TIMEOUT = 30.0
STOP_TIMEOUT = 15.0
PAUSE = 0.05


@dataclass(frozen=True, slots=True)
class Program:
    """A command that listens on ``port``, with ``environment`` beside this one's."""

    command: Sequence[str]
    port: int
    environment: Mapping[str, str] = field(default_factory=dict, repr=False)


def python(module: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs ``module`` by this Python."""
    return (sys.executable, "-m", module, *arguments)


def take_ports(*asked: int) -> list[int]:
    """Return these ports, with a free one in the place of each 0. Raises SystemExit where one is in use."""
    with ExitStack() as listeners:
        sockets = [listeners.enter_context(listening(port)) for port in asked]
        return [listener.getsockname()[1] for listener in sockets]


def run(*programs: Program, say: Callable[[], None]) -> None:
    """Run all of ``programs`` until Ctrl-C, each when the one before answers, and then ``say``.

    Raises SystemExit where one of them ends by itself: what it had to say is on the screen.
    """
    with ExitStack() as running:
        processes = []
        for program in programs:
            processes.append(running.enter_context(_running(program)))
            _wait_until_it_listens(program, processes[-1])
        say()
        while all(process.poll() is None for process in processes):
            time.sleep(PAUSE)
    raise SystemExit("one of the programs ended")


@contextmanager
def _running(program: Program) -> Iterator["subprocess.Popen[bytes]"]:
    # It works in another folder, so it is told where this Python finds its modules.
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **program.environment}
    # A group of its own, so that Ctrl-C comes here alone, and each is told once to end.
    process = subprocess.Popen(program.command, env=environment, process_group=0)  # noqa: S603
    try:
        yield process
    finally:
        process.terminate()
        process.wait(STOP_TIMEOUT)


def _wait_until_it_listens(program: Program, process: "subprocess.Popen[bytes]") -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while process.poll() is None and time.monotonic() < deadline:
        with socket.socket() as connection:
            if connection.connect_ex((HOST, program.port)) == 0:
                return
        time.sleep(PAUSE)
    raise SystemExit("one of the programs did not start")
