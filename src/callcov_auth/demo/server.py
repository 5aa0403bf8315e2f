"""``callcov-auth demo``: a small CallCov that stays up until Ctrl-C."""

import os
import signal
import socket
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

import anyio

from callcov_auth import Auth
from callcov_auth.demo.examples import examples
from callcov_auth.demo.extras import need_extras
from callcov_auth.demo.settings import EMAIL, DemoSettings, add_users, demo_settings

HOST = "127.0.0.1"


def run_demo(port: int) -> None:
    """Serve the demo on 127.0.0.1 until Ctrl-C, on a free port where ``port`` is 0.

    Raises SystemExit, with one line, where a package is missing or the port cannot be used.
    """
    need_extras("fastapi", "uvicorn", "websockets")
    listener = _listen(port)
    # Being terminated, the demo removes its folder too.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with listener, TemporaryDirectory(prefix="callcov-demo-") as folder, suppress(KeyboardInterrupt):
        _serve(listener, demo_settings(Path(folder)))


def _listen(port: int) -> socket.socket:
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        raise SystemExit(
            f"Port {port} cannot be used ({os.strerror(error.errno or 0)}): name another with --port"
        ) from None


def _serve(listener: socket.socket, settings: DemoSettings) -> None:
    # Here, because without the extras there are none.
    import uvicorn

    from callcov_auth.demo.app import demo_app

    anyio.run(add_users, Auth(settings), EMAIL)
    said = examples(f"http://{HOST}:{listener.getsockname()[1]}")

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            # Now that uvicorn sees to Ctrl-C: Python drops one that comes while a finalizer runs.
            print(said, flush=True)

    config = uvicorn.Config(demo_app(Auth(settings)), log_level="warning", proxy_headers=False)
    Server(config).run(sockets=[listener])
