"""The password flow of OAuth 2.0 (RFC 6749 §4.3), by which Swagger UI logs in."""

from urllib.parse import urlencode

import pytest
from starlette.applications import Starlette

from callcov_auth import Auth, AuthMiddleware, auth_routes
from tests.support.asgi import Answer, request

pytestmark = pytest.mark.anyio

EMAIL, PASSWORD = "user+é@example.com", "Sécure & 100% = Password;"
FORM = ("Content-Type", "application/x-www-form-urlencoded")
# As Swagger UI sends it for a client without a name.
NO_CLIENT = ("Authorization", "Basic Og==")
RIGHT = {"grant_type": "password", "username": EMAIL, "password": PASSWORD, "scope": "calls:read"}


@pytest.fixture
async def app(auth: Auth) -> AuthMiddleware:
    await auth.users.create(EMAIL, PASSWORD)
    return AuthMiddleware(Starlette(routes=auth_routes(auth)), auth=auth)


async def login(app: AuthMiddleware, body: bytes, *headers: tuple[str, str], path: str = "login") -> Answer:
    return await request(app, f"/api/v1/auth/{path}", headers, body=body, method="POST")


@pytest.mark.parametrize(
    "kind",
    [FORM[1], "application/x-www-form-urlencoded; charset=UTF-8", "Application/X-WWW-Form-URLEncoded"],
)
@pytest.mark.parametrize("path", ["login", "login/"])
async def test_a_form_logs_in_as_json_does(auth: Auth, app: AuthMiddleware, kind: str, path: str) -> None:
    answer = await login(app, urlencode(RIGHT).encode(), ("Content-Type", kind), NO_CLIENT, path=path)
    assert (answer.status, answer.json()["token_type"]) == (200, "bearer")
    assert answer.headers["cache-control"] == "no-store"
    await auth.authenticate("Bearer " + answer.json()["access_token"])


async def test_a_wrong_password_is_the_same_refusal(app: AuthMiddleware) -> None:
    answer = await login(app, urlencode(RIGHT | {"password": "wrong"}).encode(), FORM)
    assert (answer.status, answer.code) == (401, "invalid_credentials")


@pytest.mark.parametrize(
    ("body", "named"),
    [
        (b"", {"email", "password"}),
        (b"username=a%40b.c", {"password"}),
        (b"email=a%40b.c&password=x", {"email"}),
        (b"username=a&password=x", {"email"}),
        (b"username=a%40b.c&password=", {"password"}),
        (b"username=a%40b.c&username=d%40b.c&password=x", {"body"}),
        (b"username=a%40b.c&password=%ff", {"body"}),
        (b"username=a%40b.c&password=\xff", {"body"}),
        (b"grant_type=client_credentials&username=a%40b.c&password=x", {"grant_type"}),
        (b"&".join(b"f%d=1" % number for number in range(17)), {"body"}),
    ],
)
async def test_what_is_no_such_form_is_refused_by_name(
    app: AuthMiddleware, body: bytes, named: set[str]
) -> None:
    answer = await login(app, body, FORM)
    assert (answer.status, answer.code) == (422, "validation_error")
    assert answer.json()["error"]["details"]["fields"].keys() == named
    assert "a@b.c" not in answer.body.decode()


async def test_only_a_login_reads_forms(app: AuthMiddleware) -> None:
    answer = await login(app, b"refresh_token=x", FORM, path="refresh")
    assert (answer.status, answer.code) == (400, "malformed_json")
    answer = await login(app, urlencode(RIGHT).encode(), ("Content-Type", "application/json"))
    assert (answer.status, answer.code) == (400, "malformed_json")
    answer = await login(app, urlencode(RIGHT).encode(), FORM, FORM)
    assert (answer.status, answer.code) == (400, "malformed_json")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        ("login", [NO_CLIENT]),
        ("login", [NO_CLIENT, ("Content-Type", "application/json")]),
        ("login", [("Authorization", "Bearer junk"), FORM]),
        ("login", [NO_CLIENT, NO_CLIENT, FORM]),
        ("refresh", [NO_CLIENT, FORM]),
        ("logout", [NO_CLIENT, FORM]),
    ],
)
async def test_a_clients_name_is_passed_over_beside_that_form_alone(
    app: AuthMiddleware, path: str, headers: list[tuple[str, str]]
) -> None:
    answer = await login(app, urlencode(RIGHT).encode(), *headers, path=path)
    assert (answer.status, answer.code) == (401, "invalid_token")
