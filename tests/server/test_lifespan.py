"""The Auth opens and closes with the server, whatever the app makes of lifespan, or it stops the start."""

import sqlite3
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import pytest
import uvicorn
from hypercorn.utils import LifespanFailureError
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.types import Message, Receive, Scope, Send

from callcov_auth import Auth, AuthMiddleware, AuthSettings
from tests.server.seeding import Seeded
from tests.server.site import ROUTES, make_site
from tests.support.hypercorn_server import serve_hypercorn
from tests.support.polling import TIMEOUT
from tests.support.raw_http import ask
from tests.support.servers import serve
from tests.support.settings import make_settings

OPEN, CLOSED = "Auth(opened=True)", "Auth(opened=False)"

Server = Callable[[Any], AbstractContextManager[str]]


def uvicorn_server(app: Any) -> AbstractContextManager[str]:
    return serve(app)


def hypercorn_asyncio(app: Any) -> AbstractContextManager[str]:
    return serve_hypercorn(app, worker="asyncio")


def hypercorn_trio(app: Any) -> AbstractContextManager[str]:
    return serve_hypercorn(app, worker="trio")


@pytest.fixture(params=[uvicorn_server, hypercorn_asyncio, hypercorn_trio])
def server(request: pytest.FixtureRequest) -> Server:
    made: Server = request.param
    return made


async def raises_on_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        raise NotImplementedError(scope["type"])
    await PlainTextResponse("let in")(scope, receive, send)


async def ignores_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] == "http":
        await PlainTextResponse("let in")(scope, receive, send)


async def takes_all_for_http(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse("let in")(scope, receive, send)


PLAIN_APPS = [raises_on_lifespan, ignores_lifespan, takes_all_for_http, Starlette(routes=ROUTES)]


@pytest.mark.parametrize("app", PLAIN_APPS, ids=lambda app: getattr(app, "__name__", "starlette"))
def test_the_auth_is_open_while_the_server_runs(server: Server, seeded: Seeded, app: Any) -> None:
    auth = Auth(seeded.settings)
    seen = [repr(auth)]
    with server(AuthMiddleware(app, auth=auth)) as url:
        statuses = [ask(url, "/", *seeded.lines(name)).status for name in ("key", None)]
        seen.append(repr(auth))

    assert [*seen, repr(auth)] == [CLOSED, OPEN, CLOSED]
    assert statuses == [200, 401]


def test_the_auth_is_open_before_the_app_starts_and_after_it_ends(server: Server, seeded: Seeded) -> None:
    auth = Auth(seeded.settings)
    seen = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        seen.append((repr(auth), (await auth.users.get(seeded.owner_id)).id))
        yield
        seen.append((repr(auth), (await auth.users.get(seeded.owner_id)).id))

    app = Starlette(routes=ROUTES, lifespan=lifespan)
    app.add_middleware(AuthMiddleware, auth=auth)
    with server(app) as url:
        ask(url, "/health")

    assert seen == [(OPEN, seeded.owner_id)] * 2
    assert repr(auth) == CLOSED


def test_an_app_that_fails_to_start_stops_the_server_and_the_auth_is_closed(
    server: Server, seeded: Seeded, caplog: pytest.LogCaptureFixture
) -> None:
    auth = Auth(seeded.settings)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    app = Starlette(lifespan=lifespan)
    app.add_middleware(AuthMiddleware, auth=auth)

    assert "ZeroDivisionError" in failure_of(server, app, caplog)
    assert repr(auth) == CLOSED


@pytest.mark.anyio
async def test_a_server_that_cancels_its_lifespan_loses_no_writes(tmp_path: Path) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path / 'auth.db'}")
    auth = Auth(settings)

    async def receive() -> Message:
        return {"type": "lifespan.startup"}

    async def use_a_key_and_cancel(message: Message) -> None:
        user = await auth.users.create("user@example.com", "SecurePassword123!")
        key = await auth.keys.create(user.id, name="used")
        await auth.authenticate(f"Bearer {key.api_key.get_secret_value()}")
        server.cancel()
        await anyio.sleep_forever()

    with anyio.CancelScope() as server:
        await AuthMiddleware(ignores_lifespan, auth=auth)({"type": "lifespan"}, receive, use_a_key_and_cancel)

    assert repr(auth) == CLOSED
    async with auth:
        [used] = (await auth.keys.list()).keys
        assert used.last_used_at is not None


def test_a_schema_newer_than_the_code_stops_the_server_with_the_cure(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path / 'auth.db'}", require_https=False)
    anyio.run(open_once, settings)
    set_revision(tmp_path / "auth.db", "9999_from_the_future")

    failure = failure_of(server, make_site(Auth(settings)), caplog)

    assert "the database's schema is 9999_from_the_future, newer than this callcov-auth knows" in failure
    assert "upgrade the package" in failure


def test_an_older_schema_stops_the_server_where_it_may_not_be_migrated(
    server: Server, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    settings = make_settings(database_url=f"sqlite:///{tmp_path / 'auth.db'}", auto_migrate=False)

    failure = failure_of(server, make_site(Auth(settings)), caplog)

    assert "CALLCOV_AUTH_AUTO_MIGRATE=true" in failure


async def open_once(settings: AuthSettings) -> None:
    async with Auth(settings):
        pass


def set_revision(database: Path, revision: str) -> None:
    connection = sqlite3.connect(database)
    with connection:
        connection.execute("UPDATE callcov_schema SET version_num = ?", (revision,))
    connection.close()


async def uvicorn_fails(app: Any) -> None:
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="on", log_config=None))
    with anyio.fail_after(TIMEOUT), pytest.raises(SystemExit):
        await server.serve()


def failure_of(server: Server, app: Any, caplog: pytest.LogCaptureFixture) -> str:
    """Return what the server says as it fails to start."""
    if server is uvicorn_server:
        anyio.run(uvicorn_fails, app)
        return caplog.text
    with pytest.raises(LifespanFailureError) as ended, server(app):
        pass
    return repr(ended.value) + caplog.text
