"""The same app under hypercorn: HTTP/1.1 and HTTP/2, on asyncio and on trio."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from callcov_auth import Auth
from tests.server.seeding import EMAIL, PASSWORD, Seeded
from tests.server.site import make_site
from tests.server.socket_client import be_refused, hear, how_closed
from tests.support.hypercorn_server import serve_hypercorn
from tests.support.tls import Certificate, make_certificate

WORKERS = ["asyncio", "trio"]
VERSIONS: dict[str, dict[str, Any]] = {
    "HTTP/1.1": {"http2": False},
    "HTTP/2": {"http1": False, "http2": True},
}


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module", params=WORKERS)
def site(request: pytest.FixtureRequest, seeded: Seeded, certificate: Certificate) -> Iterator[str]:
    app = make_site(Auth(seeded.settings.replace(require_https=True)))
    with serve_hypercorn(app, worker=request.param, certificate=certificate) as url:
        yield url


@pytest.fixture(scope="module", params=WORKERS)
def plain_url(request: pytest.FixtureRequest, seeded: Seeded) -> Iterator[str]:
    with serve_hypercorn(make_site(Auth(seeded.settings)), worker=request.param) as url:
        yield url


@pytest.fixture(params=VERSIONS)
def client(request: pytest.FixtureRequest, site: str, certificate: Certificate) -> Iterator[httpx2.Client]:
    options = VERSIONS[request.param] | {"trust_env": False, "timeout": 20}
    with httpx2.Client(base_url=site, verify=certificate.client_context(), **options) as opened:
        assert opened.get("/health").http_version == request.param
        yield opened


@pytest.mark.parametrize("credential", ["key", "token"])
def test_a_good_credential_is_let_in(client: httpx2.Client, seeded: Seeded, credential: str) -> None:
    headers = {"Authorization": f"Bearer {getattr(seeded, credential)}"}

    answers = [client.get("/api/v1/analysis/", headers=headers) for _ in range(3)]

    assert {answer.status_code for answer in answers} == {200}
    assert {answer.json()["subject"] for answer in answers} == {seeded.owner_id}
    assert {answer.json()["current"] for answer in answers} == {True}


def test_a_bad_one_is_refused(client: httpx2.Client, seeded: Seeded) -> None:
    answer = client.get(
        "/api/v1/analysis/",
        headers={"Authorization": f"Bearer {seeded.revoked_key}", "X-Request-ID": "hyper-1"},
    )

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_revoked")
    assert answer.headers["www-authenticate"] == (
        'Bearer realm="callcov", error="invalid_token", error_description="The API key was revoked"'
    )
    assert answer.headers["x-request-id"] == "hyper-1"


def test_two_headers_are_refused(client: httpx2.Client, seeded: Seeded) -> None:
    twice = [("Authorization", f"Bearer {seeded.key}"), ("Authorization", f"Bearer {seeded.key}")]

    answer = client.get("/api/v1/analysis/", headers=twice)

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")


def test_head_is_refused_without_a_body(client: httpx2.Client) -> None:
    answer = client.head("/api/v1/analysis/")

    assert (answer.status_code, answer.content) == (401, b"")


def test_login_works_and_its_token_too(client: httpx2.Client) -> None:
    login = client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
    token = login.json()["access_token"]
    me = client.get("/api/v1/users/me", headers={"Authorization": f"Bearer {token}"})

    assert (login.status_code, me.status_code, me.json()["email"]) == (200, 200, EMAIL)


def test_an_endpoints_refusal_is_answered(client: httpx2.Client, seeded: Seeded) -> None:
    answer = client.delete("/api/v1/analysis/", headers={"Authorization": f"Bearer {seeded.key}"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "insufficient_permissions")


@pytest.mark.parametrize(("credential", "kind"), [("key", "api_key"), ("token", "token")])
def test_a_websocket_is_let_in(plain_url: str, seeded: Seeded, credential: str, kind: str) -> None:
    heard = hear(plain_url, "/ws", *seeded.lines(credential))

    assert (heard["subject"], heard["kind"], heard["user"]) == (seeded.owner_id, kind, True)


def test_a_websocket_is_refused_before_it_is_accepted(plain_url: str, seeded: Seeded) -> None:
    refusal = be_refused(plain_url, "/ws/reads", *seeded.lines("narrow_key"))

    assert (refusal.status, refusal.error["code"]) == (403, "insufficient_permissions")
    assert refusal.headers["WWW-Authenticate"].endswith('scope="analysis:read"')


def test_a_refusal_after_accept_closes_the_websocket(plain_url: str, seeded: Seeded) -> None:
    assert how_closed(plain_url, "/ws/late", *seeded.lines("key")) == (1008, "insufficient_permissions")


@pytest.mark.parametrize("worker", WORKERS)
def test_plain_http_is_refused(seeded: Seeded, worker: Any) -> None:
    app = make_site(Auth(seeded.settings.replace(require_https=True)))
    with serve_hypercorn(app, worker=worker) as url:
        answer = httpx2.get(url + "/health", trust_env=False, timeout=20)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "https_required")
