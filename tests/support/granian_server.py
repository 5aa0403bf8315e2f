"""Granian on a loopback socket, for as long as a ``with`` block lasts."""

import asyncio
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from tests.support.tls import Certificate

START_TIMEOUT = 20.0


@contextmanager
def serve_granian(app: Any, *, certificate: Certificate | None = None) -> Iterator[str]:
    """Run ``app`` in a thread and give its base URL. With a ``certificate``: TLS, HTTP/2 or HTTP/1.1."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = probe.getsockname()[1]
    tls = {"ssl_cert": certificate.certfile, "ssl_key": certificate.keyfile} if certificate else {}
    server = Server(
        app, port=port, interface=Interfaces.ASGI, log_level=LogLevels.warning, log_access=False, **tls
    )
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_until_complete, args=(server.serve(),), daemon=True)
    thread.start()
    try:
        _await_port(port, thread)
        yield f"{'https' if certificate else 'http'}://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(server.stop)
        thread.join(START_TIMEOUT)
        loop.close()


def _await_port(port: int, thread: threading.Thread) -> None:
    deadline = time.monotonic() + START_TIMEOUT
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            if not thread.is_alive() or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
