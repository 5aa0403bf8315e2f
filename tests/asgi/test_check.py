"""``/auth/check``: what a proxy is told about a request that it holds back."""

from collections.abc import Sequence
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.types import ASGIApp

from callcov_auth import Auth, AuthMiddleware, Principal, auth_routes
from callcov_auth.asgi.forwarded import PathsBelowCheck, identity_headers
from callcov_auth.cli.serve import auth_server
from callcov_auth.store.protocol import User
from tests.keys.test_validator import bearer
from tests.support.asgi import Answer, connect, request
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

CHECK = "/api/v1/auth/check"
PROXY, STRANGER = ("10.0.0.1", 1), ("192.0.2.7", 1)
OPEN = {"public_paths": ["/health", "/docs/*"], "optional_paths": ["/maybe"]}


@pytest.fixture
async def auth(clock: Clock) -> Any:
    settings = make_settings(trusted_proxies=["10.0.0.0/8"], require_https=False, **OPEN)
    async with Auth(settings, clock=clock) as opened:
        yield opened


@pytest.fixture
async def user(auth: Auth) -> User:
    return await auth.users.create("user@example.com", "SecurePassword123!", scopes=["calls:*", "users:read"])


@pytest.fixture(params=["behind the middleware", "on their own", "as a server"])
def app(request: pytest.FixtureRequest, auth: Auth) -> ASGIApp:
    routes = Starlette(routes=auth_routes(auth))
    if request.param == "behind the middleware":
        return AuthMiddleware(routes, auth=auth)
    return routes if request.param == "on their own" else _server(auth)


def _server(auth: Auth) -> ASGIApp:
    """The server's own layers, around this Auth."""
    routes = Starlette(routes=auth_routes(auth))
    return PathsBelowCheck(AuthMiddleware(routes, auth=auth), api_prefix=auth.settings.api_prefix)


async def check(
    app: ASGIApp,
    headers: Sequence[tuple[str, str]] = (),
    path: str = CHECK,
    client: Any = PROXY,
    **more: Any,
) -> Answer:
    return await request(app, path, headers, client=client, **more)


def asks_about(uri: str, header: str = "X-Original-URI") -> list[tuple[str, str]]:
    return [(header, uri)]


@pytest.mark.parametrize("end", ["", "/"])
async def test_a_key(app: ASGIApp, auth: Auth, user: User, end: str) -> None:
    key = await auth.keys.create(user.id, name="k", scopes=["users:read", "calls:read"])
    answer = await check(app, [("Authorization", bearer(key))], CHECK + end)
    assert (answer.status, answer.body) == (200, b"")
    told = {name: value for name, value in answer.headers.items() if name.startswith("x-auth-")}
    assert told == {
        "x-auth-subject": user.id,
        "x-auth-issuer": "callcov",
        "x-auth-kind": "api_key",
        "x-auth-scopes": "calls:read users:read",
        "x-auth-key-id": key.id,
    }
    assert answer.headers["cache-control"] == "no-store"


async def test_a_token(app: ASGIApp, auth: Auth) -> None:
    token = await auth.tokens.issue("usr_1", scopes=["calls:read"])
    answer = await check(app, [("Authorization", f"Bearer {token}")])
    assert (answer.headers["x-auth-subject"], answer.headers["x-auth-kind"]) == ("usr_1", "token")
    assert answer.headers["x-auth-key-id"] == ""


async def test_a_refusal_is_as_everywhere(app: ASGIApp) -> None:
    missing = await check(app)
    assert (missing.status, missing.code) == (401, "missing_token")
    assert missing.headers["www-authenticate"] == 'Bearer realm="callcov"'
    bad = await check(app, [("Authorization", "Bearer sk_live_junk")])
    assert (bad.status, bad.code) == (401, "invalid_token")


@pytest.mark.parametrize(
    "query",
    ["scope=calls:read", "scope=calls:read&scope=users:read", "scope=calls:read%20users:read", "other=1"],
)
async def test_scopes_that_are_asked_for(app: ASGIApp, auth: Auth, user: User, query: str) -> None:
    headers = [("Authorization", bearer(await auth.keys.create(user.id, name="k")))]
    assert (await check(app, headers, f"{CHECK}?{query}")).status == 200


async def test_scopes_that_are_lacking_are_named(app: ASGIApp, auth: Auth, user: User) -> None:
    headers = [("Authorization", bearer(await auth.keys.create(user.id, name="k")))]
    refused = await check(app, headers, f"{CHECK}?scope=calls:read+users:write")
    assert (refused.status, refused.code) == (403, "insufficient_permissions")
    assert refused.headers["www-authenticate"].endswith('scope="calls:read users:write"')


@pytest.mark.parametrize("query", ["scope=", "scope=a&scope=", "scope=a++b", "scope=%22"])
async def test_a_scope_that_is_none_is_not_passed_over(
    app: ASGIApp, auth: Auth, user: User, query: str
) -> None:
    headers = [("Authorization", bearer(await auth.keys.create(user.id, name="k", scopes=["users:read"])))]
    refused = await check(app, headers, f"{CHECK}?{query}")
    assert (refused.status, refused.code) == (422, "validation_error")


@pytest.mark.parametrize("header", ["X-Original-URI", "X-Forwarded-Uri"])
@pytest.mark.parametrize("uri", ["/health", "/health?a=b", "/docs/a/b", "/docs/%C3%A4", "/maybe"])
async def test_an_open_path_is_open(app: ASGIApp, header: str, uri: str) -> None:
    answer = await check(app, asks_about(uri, header))
    assert (answer.status, answer.headers["x-auth-kind"]) == (200, "anonymous")
    assert {answer.headers[f"x-auth-{name}"] for name in ("subject", "issuer", "scopes", "key-id")} == {""}


@pytest.mark.parametrize(
    "uri",
    [
        "/calls",
        "/docs",
        "/docs/../calls",
        "/docs/%2e%2e/calls",
        "/docs/%252e%252e/calls",
        "/docs/..;/calls",
        "/docs/%ff",
        "/docs/\xe4",
        "//docs/a",
        "docs/a",
        "https://x/docs/a",
        "",
        "/calls?/docs/",
        "/calls#/docs/",
    ],
)
async def test_every_other_path_is_closed(app: ASGIApp, uri: str) -> None:
    assert (await check(app, asks_about(uri))).code == "missing_token"


@pytest.mark.parametrize(
    "headers",
    [
        asks_about("/health") + asks_about("/calls"),
        asks_about("/health") + asks_about("/calls", "X-Forwarded-Uri"),
        asks_about("/calls") + asks_about("/health", "X-Forwarded-Uri"),
    ],
)
async def test_two_paths_are_none(app: ASGIApp, headers: list[tuple[str, str]]) -> None:
    assert (await check(app, headers)).code == "missing_token"


@pytest.mark.parametrize("client", [STRANGER, None, ("testclient", 1)])
async def test_a_stranger_is_not_believed(app: ASGIApp, client: Any) -> None:
    assert (await check(app, asks_about("/health"), client=client)).code == "missing_token"


async def test_elsewhere_the_path_is_the_requests_own(app: ASGIApp) -> None:
    answer = await check(app, asks_about("/health"), "/api/v1/users/me")
    assert answer.code == "missing_token"


async def test_a_bad_credential_on_an_open_path(app: ASGIApp) -> None:
    bad = [("Authorization", "Bearer sk_live_junk")]
    assert (await check(app, bad + asks_about("/health"))).code == "invalid_token"
    assert (await check(app, bad + asks_about("/maybe"))).headers["x-auth-kind"] == "anonymous"


async def test_an_open_path_that_asks_for_scopes_is_not_open(app: ASGIApp) -> None:
    assert (await check(app, asks_about("/health"), f"{CHECK}?scope=a")).code == "missing_token"


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE", "OPTIONS", "HEAD"])
async def test_the_path_may_stand_below_with_any_method(auth: Auth, user: User, method: str) -> None:
    app = _server(auth)
    key = [("Authorization", bearer(await auth.keys.create(user.id, name="k")))]
    answer = await check(app, key, f"{CHECK}/calls/a?scope=none", method=method)
    assert (answer.status, answer.headers["x-auth-subject"]) == (200, user.id)
    assert (await check(app, path=f"{CHECK}/calls/a", method=method)).status == 401
    assert (await check(app, path=f"{CHECK}/docs/a", method=method)).status == 200


async def test_what_stands_below_is_what_counts(auth: Auth) -> None:
    app = _server(auth)
    assert (await check(app, asks_about("/health"), f"{CHECK}/calls")).code == "missing_token"
    assert (await check(app, asks_about("/calls"), f"{CHECK}/health")).status == 200
    assert (await check(app, path=f"{CHECK}/docs/../calls")).code == "missing_token"
    assert (await check(app, path=f"{CHECK}/docs/%2e%2e/calls")).code == "missing_token"
    assert (await check(app, path=f"{CHECK}/health", client=STRANGER)).code == "missing_token"
    assert (await check(app, path=f"{CHECK}/")).code == "missing_token"
    # Our own path, with the slash that is optional, asked in nginx's way.
    assert (await check(app, asks_about("/health"), f"{CHECK}/")).status == 200


async def test_nothing_else_is_rewritten(auth: Auth) -> None:
    app = _server(auth)
    assert (await check(app, path="/api/v1/auth/checkers", method="POST")).code == "missing_token"
    sent = await connect(app, f"{CHECK}/health", client=PROXY)
    assert sent[0]["type"] == "websocket.close"


async def test_the_server_has_it(auth: Auth) -> None:
    server = auth_server(auth.settings)
    assert (await check(server, path=f"{CHECK}/docs/a", method="POST")).status == 200


@pytest.mark.parametrize(
    ("subject", "header"),
    [
        ("usr_1", "usr_1"),
        ("auth0|123:x/y", "auth0|123:x/y"),
        ("jürgen 100%", "j%C3%BCrgen%20100%25"),
        ("a\r\nX-Auth-Scopes: *", "a%0D%0AX-Auth-Scopes:%20*"),
        ("\ud800", "%ED%A0%80"),
    ],
)
def test_a_foreign_subject_is_safe_in_a_header(subject: str, header: str) -> None:
    told = identity_headers(Principal(subject=subject, issuer="https://i.example", kind="token"))
    assert (told["x-auth-subject"], told["x-auth-issuer"]) == (header, "https://i.example")
