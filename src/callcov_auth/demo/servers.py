"""The servers of ``callcov-auth demo --check``: one secret and database, several settings."""

import socket
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import anyio
import httpx2
import uvicorn

from callcov_auth import Auth
from callcov_auth.demo.app import demo_app
from callcov_auth.demo.certificate import Certificate, make_certificate
from callcov_auth.demo.conversation import Clock, Talk
from callcov_auth.demo.settings import EMAIL, add_users, demo_settings

OTHER_EMAIL = "other@example.com"

START_TIMEOUT = 30.0
ANSWER_TIMEOUT = 30.0

# What each server's settings change.
SERVERS: Mapping[str, Mapping[str, Any]] = {
    "demo": {},
    "live only": {"accepted_environments": {"live"}},
    "prod only": {"accepted_segments": {"prod"}},
    "https only": {"require_https": True, "trusted_proxies": ("10.0.0.0/8",)},
    "behind a proxy": {"require_https": True, "trusted_proxies": ("127.0.0.0/8",)},
    "tls": {"require_https": True},
}


@contextmanager
def conversation() -> Iterator[Talk]:
    """Start every server and give a Talk with them; stop them and remove their files afterwards."""
    with TemporaryDirectory(prefix="callcov-demo-") as name, ExitStack() as open_things:
        folder, clock = Path(name), Clock()
        # Other servers hear of a revocation so soon, in seconds.
        settings = demo_settings(folder).replace(revocation_interval=0.2)
        anyio.run(add_users, Auth(settings, clock=clock), EMAIL, OTHER_EMAIL)
        certificate = make_certificate(folder)
        trusting = ssl.create_default_context(cafile=certificate.certificate)
        clients = {}
        for server, changes in SERVERS.items():
            app = demo_app(Auth(settings.replace(**changes), clock=clock))
            url = open_things.enter_context(_serving(app, certificate if server == "tls" else None))
            clients[server] = open_things.enter_context(_client(url, trusting))
        yield Talk(clients, clock, trusting)


def _client(url: str, trusting: ssl.SSLContext) -> httpx2.Client:
    # No proxy and no .netrc of the environment's: the way is a loopback, and the headers are the steps' own.
    return httpx2.Client(base_url=url, verify=trusting, timeout=ANSWER_TIMEOUT, trust_env=False)


@contextmanager
def _serving(app: Any, certificate: Certificate | None) -> Iterator[str]:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = uvicorn.Server(_config(app, certificate))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        try:
            _wait_until_started(server, thread)
            yield f"{'https' if certificate else 'http'}://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(START_TIMEOUT)


def _config(app: Any, certificate: Certificate | None) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        lifespan="on",
        log_config=None,
        access_log=False,
        # Off, because it is the middleware's to say which proxies are believed.
        proxy_headers=False,
        ssl_certfile=certificate.certificate if certificate else None,
        ssl_keyfile=certificate.key if certificate else None,
    )


def _wait_until_started(server: uvicorn.Server, thread: threading.Thread) -> None:
    until = time.monotonic() + START_TIMEOUT
    while not server.started:
        if not thread.is_alive() or time.monotonic() > until:
            raise RuntimeError("a server of the demo did not start")
        time.sleep(0.01)
