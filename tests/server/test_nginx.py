"""``/auth/check`` behind real nginx, with the very configuration that docs/deploy.md shows."""

import json
import re
import ssl
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from urllib.parse import urlsplit

import httpx2
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from callcov_auth.cli.serve import auth_server
from tests.server.seeding import EMAIL, PASSWORD, Seeded
from tests.support.nginx_server import free_port, nginx
from tests.support.servers import serve
from tests.support.tls import Certificate, make_certificate

DEPLOY = Path(__file__).parents[2] / "docs" / "deploy.md"
FAILURE_RATE = 40


async def told(request: Request) -> JSONResponse:
    """What the app behind the proxy learns."""
    raw = request.scope["raw_path"].decode()
    return JSONResponse({"path": request.url.path, "raw": raw, "headers": dict(request.headers)})


@dataclass(frozen=True, slots=True)
class Proxied:
    client: httpx2.Client
    context: ssl.SSLContext
    seeded: Seeded

    def as_written(self, path: str, **headers: str) -> tuple[int, bytes]:
        """Ask for ``path`` by the standard library's client, which does not tidy it up."""
        url = self.client.base_url
        with closing(HTTPSConnection(url.host, url.port, context=self.context, timeout=30)) as connection:
            connection.request("GET", path, headers=headers)
            answer = connection.getresponse()
            return answer.status, answer.read()

    def get(self, path: str, credential: str | None = None, **headers: str) -> httpx2.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        if credential is not None:
            named["Authorization"] = f"Bearer {credential}"
        return self.client.get(path, headers=named)


def site_of(auth: str, app: str, port: int, certificate: Certificate) -> str:
    """Return the configuration of the page, with other addresses and files."""
    block = re.search(r"```nginx\n(.*?)```", DEPLOY.read_text(), re.DOTALL)
    assert block is not None
    site = block[1]
    changes = {
        "server 127.0.0.1:8000;": f"server {urlsplit(auth).netloc};",
        "server 127.0.0.1:9000;": f"server {urlsplit(app).netloc};",
        "listen 443 ssl;": f"listen 127.0.0.1:{port} ssl;",
        "/etc/nginx/certificate.pem": str(certificate.certfile),
        "/etc/nginx/key.pem": str(certificate.keyfile),
    }
    for written, real in changes.items():
        assert site.count(written) == 1
        site = site.replace(written, real)
    return site


@pytest.fixture(scope="module")
def proxied(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proxied]:
    folder = tmp_path_factory.mktemp("nginx")
    certificate = make_certificate(folder)
    settings = seeded.settings.replace(
        require_https=True, trusted_proxies=["127.0.0.1"], failure_rate=f"{FAILURE_RATE}/day"
    )
    app = Starlette(routes=[Route("/{rest:path}", told, methods=["GET", "POST"])])
    port = free_port()
    with serve(auth_server(settings)) as auth, serve(app) as behind:
        site = site_of(auth, behind, port, certificate)
        context, url = certificate.client_context(), f"https://127.0.0.1:{port}"
        with nginx(site, port, folder), httpx2.Client(base_url=url, verify=context, timeout=30) as client:
            yield Proxied(client, context, seeded)


@pytest.mark.parametrize(("credential", "kind"), [("key", "api_key"), ("token", "token")])
def test_the_app_behind_learns_who_calls(proxied: Proxied, credential: str, kind: str) -> None:
    answer = proxied.get("/calls?since=1", getattr(proxied.seeded, credential))
    assert answer.status_code == 200
    headers = answer.json()["headers"]
    assert answer.json()["path"] == "/calls"
    assert (headers["x-auth-subject"], headers["x-auth-kind"]) == (proxied.seeded.owner_id, kind)
    assert (headers["x-auth-issuer"], headers["x-auth-scopes"]) == (
        "callcov",
        "analysis:read analysis:write",
    )
    assert headers.get("x-auth-key-id", "").startswith("key_") == (kind == "api_key")
    assert "authorization" not in headers


def test_what_a_client_says_of_itself_does_not_come_through(proxied: Proxied) -> None:
    claimed = {"X_Auth_Subject": "root", "X_Auth_Scopes": "*", "X_Auth_Key_Id": "key_1"}
    headers = proxied.get("/calls", proxied.seeded.token, **claimed).json()["headers"]
    assert headers["x-auth-subject"] == proxied.seeded.owner_id
    assert "x-auth-key-id" not in headers
    headers = proxied.get("/health", **claimed).json()["headers"]
    assert headers["x-auth-kind"] == "anonymous"
    assert {"x-auth-subject", "x-auth-scopes", "x-auth-key-id"}.isdisjoint(headers)


@pytest.mark.parametrize(
    ("credential", "challenge"),
    [
        (None, 'Bearer realm="callcov"'),
        (
            "junk",
            'Bearer realm="callcov", error="invalid_token", error_description="The API key is not valid"',
        ),
        (
            "expired_token",
            'Bearer realm="callcov", error="invalid_token", error_description="The token expired"',
        ),
        (
            "revoked_key",
            'Bearer realm="callcov", error="invalid_token", error_description="The API key was revoked"',
        ),
    ],
)
def test_a_refusal_comes_through_with_its_challenge(
    proxied: Proxied, credential: str | None, challenge: str
) -> None:
    sent = "sk_live_junk" if credential == "junk" else credential and getattr(proxied.seeded, credential)
    refused = proxied.get("/calls", sent)
    assert refused.status_code == 401
    assert refused.headers.get_list("www-authenticate") == [challenge]


def test_paths_are_open_by_the_settings(proxied: Proxied) -> None:
    for path in ("/health", "/docs/guide", "/docs/guide?x=/../y"):
        assert proxied.get(path).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/docs/../calls",
        "/docs/%2e%2e/calls",
        "/docs/..;/calls",
        "/docs//calls",
        "/docs/%252e%252e/calls",
        "/calls?x=/docs/",
        "/calls/docs/x",
    ],
)
def test_no_way_of_writing_a_path_opens_another(proxied: Proxied, path: str) -> None:
    assert proxied.as_written(path)[0] == 401
    status, told = proxied.as_written(path, Authorization=f"Bearer {proxied.seeded.key}")
    assert (status, json.loads(told)["raw"]) == (200, path.partition("?")[0])


@pytest.mark.parametrize("name", ["X_Original_URI", "X_Forwarded_Uri"])
def test_a_client_does_not_say_itself_what_it_asks_for(proxied: Proxied, name: str) -> None:
    assert proxied.get("/calls", **{name: "/health"}).status_code == 401


def test_a_bad_credential_is_let_be_where_it_is_optional(proxied: Proxied) -> None:
    assert proxied.get("/health", "sk_live_junk").status_code == 401
    assert proxied.get("/maybe", "sk_live_junk").json()["headers"]["x-auth-kind"] == "anonymous"


def test_login_and_keys_are_the_auth_servers_own(proxied: Proxied) -> None:
    pair = proxied.client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD}).json()
    assert proxied.get("/api/v1/users/me", pair["access_token"]).json()["id"] == proxied.seeded.owner_id
    assert proxied.get("/.well-known/jwks.json").status_code == 200
    for path in ("/api/v1/auth/check", "/api/v1/auth/check/health"):
        assert proxied.get(path, proxied.seeded.key).status_code == 404


def test_too_many_refusals_come_through_as_such(proxied: Proxied) -> None:
    answers = [proxied.get("/calls", f"sk_live_{number}") for number in range(FAILURE_RATE + 1)]
    assert answers[-1].status_code == 429
    assert 0 < int(answers[-1].headers["retry-after"]) <= 86400
    # The client is meant, and not the proxy, so who is known goes on.
    assert proxied.get("/calls", proxied.seeded.key).status_code == 200
