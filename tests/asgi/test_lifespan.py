"""Opening and closing with the server, whatever the app makes of lifespan."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.middleware.cors import CORSMiddleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.types import Message, Receive, Scope, Send

from callcov_auth import Auth, AuthMiddleware
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


class Server:
    """Speaks lifespan, and notes at each message whether ``auth`` is open."""

    def __init__(self, auth: Auth) -> None:
        self.auth = auth
        self.heard: list[tuple[str, bool]] = []
        self.message = ""
        self._says = ["lifespan.startup", "lifespan.shutdown"]

    async def receive(self) -> Message:
        return {"type": self._says.pop(0)}

    async def send(self, message: Message) -> None:
        self.heard.append((message["type"].removeprefix("lifespan."), "opened=True" in repr(self.auth)))
        self.message = message.get("message", "")

    async def run(self, app: Any) -> None:
        await AuthMiddleware(app, auth=self.auth)({"type": "lifespan", "state": {}}, self.receive, self.send)


WHOLE_LIFE = [("startup.complete", True), ("shutdown.complete", False)]


@pytest.fixture
def server() -> Server:
    return Server(Auth(make_settings()))


async def test_the_auth_is_open_for_the_apps_whole_life(server: Server) -> None:
    inside = []

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        inside.append(repr(server.auth))
        yield
        inside.append(repr(server.auth))

    await server.run(Starlette(lifespan=lifespan))
    assert inside == ["Auth(opened=True)"] * 2
    assert server.heard == WHOLE_LIFE


async def test_an_app_may_open_the_same_auth_itself(server: Server) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        async with server.auth:
            yield

    await server.run(Starlette(lifespan=lifespan))
    assert server.heard == WHOLE_LIFE


async def refuses_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    raise ValueError("only http here")


async def ignores_lifespan(scope: Scope, receive: Receive, send: Send) -> None:
    return None


@pytest.mark.parametrize("app", [refuses_lifespan, ignores_lifespan])
async def test_an_app_that_knows_no_lifespan_is_spoken_for(server: Server, app: Any) -> None:
    await server.run(app)
    assert server.heard == WHOLE_LIFE


async def test_an_app_that_fails_to_start_stops_the_start(server: Server) -> None:
    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        raise ZeroDivisionError
        yield

    with pytest.raises(ZeroDivisionError):
        await server.run(Starlette(lifespan=lifespan))
    assert [name for name, _ in server.heard] == ["startup.failed"]
    assert repr(server.auth) == "Auth(opened=False)"


async def test_an_app_that_says_it_cannot_start_ends_the_conversation(server: Server) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.failed", "message": "no disk"})

    await server.run(app)
    assert (server.heard, server.message) == ([("startup.failed", False)], "no disk")
    assert repr(server.auth) == "Auth(opened=False)"


async def test_an_app_that_breaks_down_leaves_the_auth_closed(server: Server) -> None:
    async def app(scope: Scope, receive: Receive, send: Send) -> None:
        await receive()
        await send({"type": "lifespan.startup.complete"})
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await server.run(app)
    assert server.heard == [("startup.complete", True)]
    assert repr(server.auth) == "Auth(opened=False)"


async def test_an_auth_that_cannot_open_stops_the_start(tmp_path: Any) -> None:
    server = Server(Auth(make_settings(database_url=f"sqlite:///{tmp_path}/none/keys.db")))
    await server.run(ignores_lifespan)
    assert server.heard == [("startup.failed", False)]
    assert "not available" in server.message


@pytest.mark.parametrize(
    ("app", "warned"),
    [
        (CORSMiddleware(ignores_lifespan), True),
        (GZipMiddleware(CORSMiddleware(ignores_lifespan)), True),
        (GZipMiddleware(ignores_lifespan), False),
    ],
)
async def test_cors_on_the_inside_is_warned_of(
    server: Server, app: Any, warned: bool, caplog: pytest.LogCaptureFixture
) -> None:
    await server.run(app)
    assert ("add it after AuthMiddleware" in caplog.text) is warned
