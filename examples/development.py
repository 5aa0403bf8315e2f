"""How the examples start on a developer's machine. Nothing in here is for production.

Each start makes a secret, an empty database, a user and an API key, all new, and prints them as lines for a
shell. Nothing from outside changes that: no ``CALLCOV_AUTH_*``, no ``.env``. In production the same apps take
their settings from the environment, and ``require_https`` stays on.
"""

import argparse
import os
import secrets
import signal
import socket
from collections.abc import Iterator, Mapping
from contextlib import chdir, contextmanager, suppress
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio

from callcov_auth import Auth
from callcov_auth.settings import ENV_PREFIX

HOST = "127.0.0.1"
EMAIL = "user@example.com"

FAREWELL = "# Paste that into another shell. Ctrl-C here ends it all"


@dataclass(frozen=True, slots=True)
class Rights:
    """The scopes of the user, and those of the user's key."""

    user: tuple[str, ...]
    key: tuple[str, ...]


def serve(module: str, rights: Rights, *, extras: str) -> None:
    """Serve the ``app`` of ``module`` on 127.0.0.1 until Ctrl-C, for a user whom its ``auth`` makes.

    The database is memory, and plain HTTP is let in. Raises SystemExit, with one line, where a package of the
    ``extras`` is missing or the port cannot be used.
    """
    port = asked_port()
    with surroundings(), listening(port) as listener, suppress(KeyboardInterrupt):
        url = f"http://{HOST}:{listener.getsockname()[1]}"
        os.environ |= variables(
            secret=secrets.token_urlsafe(48), database_url="sqlite://", require_https="false"
        )
        os.environ["PUBLIC_URL"] = url
        uvicorn, example = need("uvicorn", module, extras=extras)
        server = uvicorn.Server(uvicorn.Config(example.app, log_level="warning", proxy_headers=False))
        anyio.run(_serve, server, listener, example.auth, rights, url)


async def _serve(server: Any, listener: socket.socket, auth: Auth, rights: Rights, url: str) -> None:
    # Open around the server, for a database in memory is gone when nobody has it open.
    async with auth:
        show({"API": url, **await make_user(auth, rights)})
        await server.serve(sockets=[listener])


def asked_port() -> int:
    """Return what ``--port`` says."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, default=8000, help="0 for a free one (default: %(default)s)")
    port: int = parser.parse_args().port
    return port


def need(*modules: str, extras: str) -> list[Any]:
    """Import ``modules``. Raises SystemExit, with the ``extras`` to install, where one is missing."""
    try:
        return [import_module(module) for module in modules]
    except ModuleNotFoundError as error:
        raise SystemExit(f"{error.name} is not installed: pip install '.[{extras}]'") from None


@contextmanager
def surroundings() -> Iterator[Path]:
    """Give an empty folder to work in, with no settings but those that are made here."""
    # Being terminated, it tidies up as after Ctrl-C.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    for name in list(os.environ):
        if name.upper().startswith(ENV_PREFIX):
            del os.environ[name]
    # Elsewhere, for a .env in the current folder may be that of a real deployment.
    with TemporaryDirectory(prefix="callcov-example-") as folder, chdir(folder):
        yield Path(folder)


def variables(**settings: str) -> dict[str, str]:
    """Return ``settings`` as the environment has them."""
    return {f"{ENV_PREFIX}{name.upper()}": value for name, value in settings.items()}


async def make_user(auth: Auth, rights: Rights) -> dict[str, str]:
    """Make a user with a key, and return what a shell needs to be either."""
    password = secrets.token_urlsafe(16)
    user = await auth.users.create(EMAIL, password, scopes=rights.user)
    key = await auth.keys.create(
        user.id, name="example", scopes=rights.key, environment="test", segment="dev"
    )
    return {"EMAIL": EMAIL, "PASSWORD": password, "CALLCOV_API_KEY": key.api_key.get_secret_value()}


def show(said: Mapping[str, str]) -> None:
    """Print lines for a shell, at once, so that no line of a log comes between."""
    print("\n".join([*(f"export {name}={value}" for name, value in said.items()), FAREWELL]), flush=True)


def listening(port: int) -> socket.socket:
    """Return a socket that listens on ``port``. Raises SystemExit, with one line, where it cannot."""
    try:
        return socket.create_server((HOST, port))
    except OSError as error:
        why = os.strerror(error.errno or 0)
        raise SystemExit(f"Port {port} cannot be used ({why}): name another with --port") from None
