"""WebSockets on a live server: let in with a principal, or refused before they are accepted."""

from collections.abc import Iterator
from typing import Any

import pytest
from starlette.types import ASGIApp, Receive, Scope, Send

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.server.socket_client import be_refused, hear, how_closed
from tests.support.servers import serve

REALM = 'Bearer realm="callcov"'


@pytest.fixture(scope="module")
def site(seeded: Seeded, websocket_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), ws=websocket_implementation) as url:
        yield url


@pytest.fixture(scope="module")
def proxied_site(seeded: Seeded, websocket_implementation: str) -> Iterator[str]:
    settings = seeded.settings.replace(require_https=True, trusted_proxies=["127.0.0.1"])
    with serve(make_site(Auth(settings)), ws=websocket_implementation) as url:
        yield url


@pytest.fixture(scope="module")
def bare_site(seeded: Seeded, websocket_implementation: str) -> Iterator[str]:
    """On a server that cannot refuse a WebSocket with a response of the app's."""
    app = without_response_extension(make_site(Auth(seeded.settings)))
    with serve(app, ws=websocket_implementation) as url:
        yield url


def without_response_extension(app: ASGIApp) -> ASGIApp:
    async def bare(scope: Scope, receive: Receive, send: Send) -> None:
        kept: dict[str, Any] = {"extensions": {}} if scope["type"] == "websocket" else {}
        await app({**scope, **kept}, receive, send)

    return bare


@pytest.mark.parametrize(("credential", "kind"), [("key", "api_key"), ("token", "token")])
def test_a_websocket_carries_its_principal(site: str, seeded: Seeded, credential: str, kind: str) -> None:
    heard = hear(site, "/ws", *seeded.lines(credential))

    assert heard == {
        "subject": seeded.owner_id,
        "kind": kind,
        "scopes": ["analysis:read", "analysis:write"],
        "user": True,
        "subprotocols": [],
        "header": [],
        "chosen": None,
    }


@pytest.mark.parametrize(
    ("path", "credential", "status", "code", "challenge"),
    [
        ("/ws", None, 401, "missing_token", REALM),
        (
            "/ws",
            "junk",
            401,
            "invalid_token",
            f'{REALM}, error="invalid_token", error_description="The API key is not valid"',
        ),
        (
            "/ws",
            "refresh_token",
            401,
            "invalid_token",
            f'{REALM}, error="invalid_token", error_description="The token is not valid"',
        ),
        (
            "/ws",
            "expired_token",
            401,
            "token_expired",
            f'{REALM}, error="invalid_token", error_description="The token expired"',
        ),
        (
            "/ws",
            "revoked_key",
            401,
            "token_revoked",
            f'{REALM}, error="invalid_token", error_description="The API key was revoked"',
        ),
        (
            "/ws/reads",
            "narrow_key",
            403,
            "insufficient_permissions",
            f'{REALM}, error="insufficient_scope", scope="analysis:read"',
        ),
        ("/no/such/socket", None, 401, "missing_token", REALM),
    ],
)
def test_a_handshake_is_refused_as_a_request_is(
    site: str, seeded: Seeded, path: str, credential: str | None, status: int, code: str, challenge: str
) -> None:
    refusal = be_refused(site, path, *seeded.lines(credential), b"X-Request-ID: socket-1")

    assert (refusal.status, refusal.error["code"]) == (status, code)
    assert refusal.headers.get_all("WWW-Authenticate") == [challenge]
    assert refusal.headers["Content-Type"] == "application/json"
    assert refusal.headers.get_all("X-Request-ID") == ["socket-1"]
    assert refusal.error["request_id"] == "socket-1"


def test_requires_lets_in_who_has_the_scope(site: str, seeded: Seeded) -> None:
    assert hear(site, "/ws/reads", *seeded.lines("key"))["kind"] == "api_key"


def test_a_refusal_after_accept_closes_with_its_code_as_reason(site: str, seeded: Seeded) -> None:
    assert how_closed(site, "/ws/late", *seeded.lines("key")) == (1008, "insufficient_permissions")


def test_two_credentials_are_refused(site: str, seeded: Seeded) -> None:
    refusal = be_refused(site, "/ws", *seeded.lines("key"), *seeded.lines("token"))

    assert (refusal.status, refusal.error["code"]) == (401, "invalid_token")


def test_a_query_parameter_is_not_looked_at(site: str, seeded: Seeded) -> None:
    refusal = be_refused(site, f"/ws?access_token={seeded.token}&token={seeded.key}")

    assert (refusal.status, refusal.error["code"]) == (401, "missing_token")


@pytest.mark.parametrize(
    ("path", "credential"), [("/ws", None), ("/ws", "junk"), ("/ws/reads", "narrow_key")]
)
def test_a_server_without_the_extension_answers_a_bare_403(
    bare_site: str, seeded: Seeded, path: str, credential: str | None
) -> None:
    refusal = be_refused(bare_site, path, *seeded.lines(credential))

    assert (refusal.status, refusal.body) == (403, b"")


def test_a_server_without_the_extension_lets_in_as_any(bare_site: str, seeded: Seeded) -> None:
    assert hear(bare_site, "/ws", *seeded.lines("key"))["subject"] == seeded.owner_id


@pytest.mark.parametrize("line", [b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: wss"])
def test_a_trusted_proxy_vouches_for_a_plain_websocket(
    proxied_site: str, seeded: Seeded, line: bytes
) -> None:
    assert hear(proxied_site, "/ws", *seeded.lines("key"), line)["subject"] == seeded.owner_id


@pytest.mark.parametrize("line", [b"X-Forwarded-Proto: ws", b"X-Forwarded-Proto: http", b"X-Other: https"])
def test_a_plain_websocket_is_refused_else(proxied_site: str, seeded: Seeded, line: bytes) -> None:
    refusal = be_refused(proxied_site, "/ws", *seeded.lines("key"), line)

    assert (refusal.status, refusal.error["code"]) == (403, "https_required")
