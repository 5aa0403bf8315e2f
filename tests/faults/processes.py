"""Processes that are made quickly, watched through a pipe, and killed with SIGKILL."""

import signal
import time
from collections.abc import Callable, Sequence
from multiprocessing import get_context
from multiprocessing.connection import Connection
from typing import Any

# Forked from a server that has imported everything already, for an import takes longer than a test's life.
_processes = get_context("forkserver")
_processes.set_forkserver_preload(
    [
        "callcov_auth.auth",
        "callcov_auth.store.sql",
        "callcov_auth.store.postgres",
        "anyio._backends._asyncio",
        "anyio._backends._trio",
    ]
)
START_TIMEOUT = 60.0

Target = Callable[[Any, Connection], None]


def run_and_kill(target: Target, orders: object, *, after: int, delay: float) -> list[Any]:
    """Run ``target`` in a process, and kill it ``delay`` seconds after it sent ``after`` messages.

    Returns all that it sent.
    """
    receiver, sender = _processes.Pipe(duplex=False)
    process = _processes.Process(target=target, args=(orders, sender), daemon=True)
    process.start()
    sender.close()
    with receiver:
        try:
            heard = [_next(receiver) for _ in range(after)]
            heard += _until(time.monotonic() + delay, receiver)
        finally:
            process.kill()
        heard += _rest(receiver)
    process.join()
    assert process.exitcode == -signal.SIGKILL, "the process ended by itself"
    return heard


def _next(receiver: Connection) -> Any:
    assert receiver.poll(START_TIMEOUT), "the process sends nothing"
    return receiver.recv()


def _until(deadline: float, receiver: Connection) -> list[Any]:
    heard = []
    while receiver.poll(max(0.0, deadline - time.monotonic())) and time.monotonic() < deadline:
        heard.append(receiver.recv())
    return heard


def _rest(receiver: Connection) -> list[Any]:
    heard = []
    while True:
        try:
            heard.append(receiver.recv())
        except EOFError:
            return heard


def run_together(target: Target, orders: Sequence[object]) -> list[list[Any]]:
    """Run ``target`` in a process for each of ``orders``, and let all begin at one moment.

    ``target`` gets them and a pipe, on which it receives one message when all are there. Returns what each
    sent.
    """
    pipes = [_processes.Pipe() for _ in orders]
    started = [
        _processes.Process(target=target, args=(each, there), daemon=True)
        for each, (_, there) in zip(orders, pipes, strict=True)
    ]
    for process, (_, there) in zip(started, pipes, strict=True):
        process.start()
        there.close()
    ends = [here for here, _ in pipes]
    assert [_next(here) for here in ends] == ["ready"] * len(ends)
    for here in ends:
        here.send("begin")
    heard = [_rest(here) for here in ends]
    for process, here in zip(started, ends, strict=True):
        here.close()
        process.join()
    return heard
