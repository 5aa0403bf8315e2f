"""fake_auth: a caller without a credential, whatever the app around it is made of."""

from collections.abc import Callable
from typing import Any

import pytest
from fastapi import FastAPI, Request
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.responses import JSONResponse
from starlette.routing import Mount, Route
from starlette.testclient import TestClient

from callcov_auth import ANONYMOUS, Auth, AuthMiddleware, Principal
from callcov_auth.fastapi import Scoped, router
from callcov_auth.store.sql import SqlStore
from callcov_auth.testing import Clock, fake_auth, key_principal, mint_token, token_principal
from tests.server.site import make_site
from tests.support.settings import make_settings

READER = token_principal("analysis:read")
READ = "/api/v1/analysis/"


async def who(request: Request) -> JSONResponse:
    return JSONResponse({"subject": request.user.subject, "current": request.state.principal is request.user})


def starlette_app() -> Any:
    return Starlette(
        routes=[Route(READ, who)], middleware=[Middleware(AuthMiddleware, settings=make_settings())]
    )


def fastapi_app() -> Any:
    app = FastAPI()
    app.add_middleware(AuthMiddleware, settings=make_settings())
    app.add_middleware(CORSMiddleware)
    app.get(READ)(who)
    return app


def wrapped_app() -> Any:
    return AuthMiddleware(Starlette(routes=[Route(READ, who)]), settings=make_settings())


def wrapped_deeper() -> Any:
    return GZipMiddleware(CORSMiddleware(wrapped_app()))


def mounted_app() -> Any:
    inner = FastAPI()
    inner.add_middleware(AuthMiddleware, settings=make_settings())
    inner.get("/analysis/")(who)
    return Starlette(routes=[Mount("/api", routes=[Mount("/v1", inner)])])


def doubly_guarded_app() -> Any:
    return AuthMiddleware(wrapped_app(), settings=make_settings())


def framework_that_keeps_its_app_elsewhere() -> Any:
    class Framework:
        def __init__(self) -> None:
            self.asgi_app = wrapped_app()

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            await self.asgi_app(scope, receive, send)

    return Framework()


APPS = [
    starlette_app,
    fastapi_app,
    wrapped_app,
    wrapped_deeper,
    mounted_app,
    doubly_guarded_app,
    framework_that_keeps_its_app_elsewhere,
]


@pytest.mark.parametrize("make_app", APPS)
@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("was_asked_before", [False, True])
def test_every_request_has_this_caller_and_afterwards_none_has(
    make_app: Callable[[], Any], scheme: str, was_asked_before: bool
) -> None:
    app = make_app()
    client = TestClient(app, base_url=f"{scheme}://testserver")
    refused = 401 if scheme == "https" else 403
    if was_asked_before:
        assert client.get(READ).status_code == refused
    with fake_auth(app, READER):
        for headers in ({}, {"Authorization": "Bearer nonsense"}):
            answer = client.get(READ, headers=headers)
            assert answer.json() == {"subject": "usr_test", "current": True}

    assert client.get(READ).status_code == refused


@pytest.mark.parametrize(
    ("principal", "status"), [(READER, 200), (token_principal("calls:read"), 403), (ANONYMOUS, 401)]
)
def test_fastapis_dependencies_do_without_a_middleware(principal: Principal, status: int) -> None:
    app = FastAPI()
    app.include_router(router(Auth(make_settings())))

    @app.get(READ)
    async def read(caller: Scoped("analysis:read")) -> str:  # type: ignore[valid-type]
        return caller.subject

    client = TestClient(app)
    with fake_auth(app, principal):
        answer = client.get(READ)
        assert answer.status_code == status
        assert status == 200 or "error" in answer.json()
    assert client.get(READ).json()["error"]["code"] == "https_required"


def test_a_credential_that_was_seen_a_moment_ago_is_not_asked_either() -> None:
    settings = make_settings()
    app = AuthMiddleware(Starlette(routes=[Route(READ, who)]), settings=settings)
    client = TestClient(app, base_url="https://testserver")
    client.headers["Authorization"] = f"Bearer {mint_token(settings, subject='usr_real')}"
    subjects = [client.get(READ).json()["subject"] for _ in range(2)]
    with fake_auth(app, READER):
        subjects.append(client.get(READ).json()["subject"])
    subjects.append(client.get(READ).json()["subject"])

    assert subjects == ["usr_real", "usr_real", "usr_test", "usr_real"]


def test_a_block_within_a_block_goes_before_it() -> None:
    app = starlette_app()
    client = TestClient(app)
    with fake_auth(app, READER):
        with fake_auth(app, token_principal(subject="usr_other")):
            assert client.get(READ).json()["subject"] == "usr_other"
        assert client.get(READ).json()["subject"] == "usr_test"


def test_it_ends_with_an_error_too() -> None:
    app = starlette_app()
    client = TestClient(app, base_url="https://testserver")
    with pytest.raises(ZeroDivisionError), fake_auth(app, READER):
        _ = client.get(READ).status_code / 0

    assert client.get(READ).status_code == 401


@pytest.mark.parametrize(
    ("principal", "method", "status"),
    [
        (READER, "GET", 200),
        (READER, "DELETE", 403),
        (token_principal("analysis:*"), "DELETE", 200),
        (key_principal("*"), "DELETE", 200),
        (token_principal(), "GET", 403),
        (ANONYMOUS, "GET", 401),
    ],
)
def test_the_guards_are_the_real_ones(principal: Principal, method: str, status: int) -> None:
    app = make_site(Auth(make_settings()))
    with fake_auth(app, principal):
        assert TestClient(app).request(method, READ).status_code == status


def test_what_an_endpoint_raises_is_answered_as_ever() -> None:
    app = make_site(Auth(make_settings()))
    with fake_auth(app, READER):
        answer = TestClient(app).get("/raise/not_found")

    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("protocol", [False, True])
def test_a_websocket_has_the_caller_too(protocol: bool) -> None:
    app = make_site(Auth(make_settings(websocket_protocol=protocol)))
    with fake_auth(app, READER), TestClient(app).websocket_connect("/ws") as socket:
        assert socket.receive_json()["subject"] == "usr_test"


def test_the_lifespan_of_the_app_runs_and_no_database_is_opened(monkeypatch: pytest.MonkeyPatch) -> None:
    opened: list[Any] = []
    monkeypatch.setattr(SqlStore, "open", opened.append)
    monkeypatch.setattr("callcov_auth.keys.format.digest", opened.append)
    monkeypatch.setattr("jwt.decode", opened.append)
    begun: list[str] = []

    async def lifespan_app(scope: Any, receive: Any, send: Any) -> None:
        begun.append((await receive())["type"])
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await send({"type": "lifespan.shutdown.complete"})

    app = AuthMiddleware(lifespan_app, settings=make_settings())
    with fake_auth(app, READER), TestClient(app):
        assert begun == ["lifespan.startup"]
    site = make_site(Auth(make_settings()))
    with fake_auth(site, READER), TestClient(site) as client:
        assert client.get(READ).status_code == 200

    assert opened == []


@pytest.mark.parametrize("app", [Starlette(), FastAPI(), who])
def test_an_app_without_the_middleware_is_an_error(app: Any) -> None:
    with pytest.raises(LookupError, match="there is no AuthMiddleware to be found"), fake_auth(app, READER):
        pass


def test_a_made_up_user_has_the_fields_that_are_given() -> None:
    user = token_principal("a", "b", subject="usr_1", claims={"team": "x"}, session_id=None)
    key = key_principal(environment="test", segment="dev")

    assert (user.kind, user.subject, user.scopes, user.claims["team"]) == ("token", "usr_1", {"a", "b"}, "x")
    assert user.session_id is None
    assert (key.kind, key.environment, key.segment, key.key_id) == ("api_key", "test", "dev", "key_test")


def test_the_fixtures_give_it_to_a_test(
    api_client: Callable[..., TestClient], as_user: Callable[..., Principal], as_key: Callable[..., Principal]
) -> None:
    app = starlette_app()
    client = api_client(app)
    assert (client.get(READ).status_code, str(client.base_url)) == (401, "https://testserver")
    as_user(app, "a", subject="usr_1")
    assert client.get(READ).json()["subject"] == "usr_1"
    assert as_key(app, segment="dev").segment == "dev"
    assert client.get(READ).json()["subject"] == "usr_test"


def test_the_clock_of_the_fixtures_stands_still(auth_clock: Clock) -> None:
    before = auth_clock()
    auth_clock.advance(60)
    assert auth_clock() == before + 60
