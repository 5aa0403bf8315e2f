"""An app behind real nginx, with the very configuration that docs/proxy.md shows."""

import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket
from websockets.sync.client import connect

from callcov_auth import AuthMiddleware, AuthSettings
from callcov_auth.asgi.https import client_address
from tests.docs.pages import blocks_of, shell_lines, under
from tests.support.nginx_server import free_port, nginx
from tests.support.reader import minted, refusal, set_up
from tests.support.servers import serve
from tests.support.tls import make_certificate


async def told(request: Request) -> JSONResponse:
    address = client_address(request.scope, AuthSettings().trusted_proxies)
    return JSONResponse({"client": address, "host": request.url.hostname})


async def talk(websocket: WebSocket) -> None:
    await websocket.accept()
    await websocket.send_text(websocket.user.subject)
    await websocket.close()


@dataclass(frozen=True, slots=True)
class Proxied:
    url: str
    behind: str
    context: ssl.SSLContext

    def get(self, **headers: str) -> httpx2.Response:
        return httpx2.get(f"{self.url}/hello", headers=headers, verify=self.context, trust_env=False)


@pytest.fixture
def proxied(
    request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Proxied]:
    set_up(monkeypatch, require_https="true", trusted_proxies=getattr(request, "param", _shown_proxies()))
    app = Starlette(routes=[Route("/hello", told), WebSocketRoute("/talk", talk)])
    app.add_middleware(AuthMiddleware, settings=AuthSettings())
    certificate, port = make_certificate(tmp_path), free_port()
    with ExitStack() as running:
        behind = running.enter_context(serve(app))
        changes = {
            "server 127.0.0.1:8000;": f"server {urlsplit(behind).netloc};",
            "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
            "/etc/nginx/certificate.pem": str(certificate.certfile),
            "/etc/nginx/key.pem": str(certificate.keyfile),
        }
        site = under("proxy.md", "nginx", "nginx")
        for written, real in changes.items():
            assert site.count(written) == 1
            site = site.replace(written, real)
        running.enter_context(nginx(site, port, tmp_path))
        yield Proxied(f"https://127.0.0.1:{port}", behind, certificate.client_context())


def _shown_proxies() -> str:
    (line,) = [
        line for block in blocks_of("docs/proxy.md") for line in shell_lines(block) if "uvicorn" in line
    ]
    return line.split()[0].partition("=")[2]


def test_the_app_knows_who_comes_and_nobody_tells_it_otherwise(proxied: Proxied) -> None:
    key = minted()
    answer = proxied.get(**key)
    assert (answer.status_code, answer.json()) == (200, {"client": "127.0.0.1", "host": "127.0.0.1"})
    lying = {"X-Forwarded-Proto": "http", "X-Forwarded-For": "203.0.113.7"}
    assert proxied.get(**key, **lying).json()["client"] == "127.0.0.1"
    assert refusal(proxied.get()) == (401, "missing_token")
    assert refusal(httpx2.get(f"{proxied.behind}/hello", headers=key)) == (403, "https_required")


def test_a_websocket_comes_through(proxied: Proxied) -> None:
    address = proxied.url.replace("https:", "wss:") + "/talk"
    with connect(address, additional_headers=minted(), ssl=proxied.context, proxy=None) as socket:
        assert str(socket.recv()).startswith("usr_")


@pytest.mark.parametrize("proxied", ["10.0.0.0/8"], indirect=True)
def test_a_proxy_that_is_not_named_is_not_believed(proxied: Proxied) -> None:
    assert refusal(proxied.get(**minted())) == (403, "https_required")
