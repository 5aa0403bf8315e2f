"""Hypercorn on a loopback socket, on either of its workers, for as long as a ``with`` block lasts."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, Literal

import anyio
import hypercorn.asyncio
import hypercorn.trio
from hypercorn.config import Config

from tests.support.tls import Certificate

STOP_TIMEOUT = 20.0
_WORKERS = {"asyncio": hypercorn.asyncio.serve, "trio": hypercorn.trio.serve}


@contextmanager
def serve_hypercorn(
    app: Any, *, worker: Literal["asyncio", "trio"], certificate: Certificate | None = None
) -> Iterator[str]:
    """Run ``app`` in a thread and give its base URL. With a ``certificate``: TLS, HTTP/2 or HTTP/1.1.

    What ends the server before its time is raised when the block ends.
    """
    # It listens already, so that who comes before the app has started waits, and is not turned away.
    listener = socket.create_server(("127.0.0.1", 0))
    port = listener.getsockname()[1]
    stop = threading.Event()
    failures: list[BaseException] = []
    run = partial(
        _WORKERS[worker], app, _config(listener.detach(), certificate), shutdown_trigger=partial(_wait, stop)
    )
    thread = threading.Thread(target=_keep_failure, args=(run, worker, failures), daemon=True)
    thread.start()
    try:
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        stop.set()
        thread.join(STOP_TIMEOUT)
    if failures:
        raise failures[0]
    assert not thread.is_alive(), "hypercorn did not stop"


def _config(fileno: int, certificate: Certificate | None) -> Config:
    config = Config()
    config.bind = [f"fd://{fileno}"]
    config.loglevel = "WARNING"
    config.graceful_timeout = 1
    if certificate is not None:
        config.certfile = str(certificate.certfile)
        config.keyfile = str(certificate.keyfile)
    return config


async def _wait(stop: threading.Event) -> None:
    while not stop.is_set():
        await anyio.sleep(0.01)


def _keep_failure(run: Any, worker: str, failures: list[BaseException]) -> None:
    try:
        anyio.run(run, backend=worker)
    except BaseException as error:
        failures.append(_unwrapped(error))


def _unwrapped(error: BaseException) -> BaseException:
    """Take the groups off in which trio raises what one task raised."""
    while isinstance(error, BaseExceptionGroup) and len(error.exceptions) == 1:
        error = error.exceptions[0]
    return error
