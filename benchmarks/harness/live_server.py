"""One app under uvicorn, in a process of its own.

    python -m benchmarks.harness.live_server APP FD [CORE]

It serves on the socket FD, which it inherits, with httptools and uvloop, and keeps to CORE. First it prints
the credentials that its app takes as JSON, for the process that started it and for nobody else.
"""

import asyncio
import json
import logging
import os
import secrets
import socket
import sys
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route
from starlette.types import ASGIApp

from benchmarks.harness.stores import counted
from benchmarks.hit_parts import PARTS
from benchmarks.peers.apps import fastapi_app, hello, starlette_app
from benchmarks.peers.ours import SCOPES, Build, memory_settings, new_key, opened
from callcov_auth import AuthMiddleware, auth_routes

EMAIL = "login@example.com"
GOOD_KEYS = 100


@dataclass(frozen=True, slots=True)
class Told:
    """The credentials that an app takes."""

    keys: Sequence[str] = ()
    password: str = ""

    def as_json(self) -> str:
        return json.dumps({"keys": self.keys, "password": self.password})


Builder = Callable[[AsyncExitStack], Awaitable[tuple[ASGIApp, Told]]]


def bare(build: Build) -> Builder:
    async def built(_stack: AsyncExitStack) -> tuple[ASGIApp, Told]:
        return build(), Told()

    return built


def with_key(build: Build, middleware: Callable[..., ASGIApp] = AuthMiddleware) -> Builder:
    async def built(stack: AsyncExitStack) -> tuple[ASGIApp, Told]:
        auth = await opened(stack)
        return build(Middleware(middleware, auth=auth)), Told([await new_key(auth)])

    return built


async def besieged(stack: AsyncExitStack) -> tuple[ASGIApp, Told]:
    """Return an app on a database file, with a hundred keys, a login, an open path, and its calls counted."""
    folder = Path(stack.enter_context(TemporaryDirectory()))
    settings = memory_settings(
        database_url=f"sqlite:///{folder}/live.db",
        public_paths=["/open", "/calls"],
        max_active_keys=GOOD_KEYS,
        # As long as a flood lasts: that a good key is looked up once a minute is nothing to it.
        cache_ttl=3600,
    )
    auth, store = counted(settings)
    await stack.enter_async_context(auth)

    async def calls(_request: Request) -> JSONResponse:
        return JSONResponse(store.calls)

    routes = [Route("/hello", hello), Route("/open", hello), Route("/calls", calls), *auth_routes(auth)]
    app = Starlette(routes=routes, middleware=[Middleware(AuthMiddleware, auth=auth)])
    password = secrets.token_urlsafe(16)
    user = await auth.users.create(EMAIL, password, scopes=SCOPES)
    made = [await auth.keys.create(user.id, name="benchmark") for _ in range(GOOD_KEYS)]
    return app, Told([each.api_key.get_secret_value() for each in made], password)


APPS: dict[str, Builder] = {
    "bare starlette": bare(starlette_app),
    "bare fastapi": bare(fastapi_app),
    "key starlette": with_key(starlette_app),
    "key fastapi": with_key(fastapi_app),
    **{f"{part.__name__} starlette": with_key(starlette_app, part) for part in PARTS},
    **{f"{part.__name__} fastapi": with_key(fastapi_app, part) for part in PARTS},
    "besieged": besieged,
}


async def serve(build: Builder, listener: socket.socket) -> None:
    async with AsyncExitStack() as stack:
        app, told = await build(stack)
        # Long enough for a connection that is idle while others' logins are waited for.
        config = uvicorn.Config(
            app, http="httptools", access_log=False, log_level="warning", timeout_keep_alive=60
        )
        print(told.as_json(), flush=True)
        await uvicorn.Server(config).serve([listener])


def main(arguments: Sequence[str]) -> None:
    name, descriptor, *core = arguments
    if core:
        os.sched_setaffinity(0, {int(core[0])})
    # Who logged in, and that a login was refused, would fill the terminal.
    logging.getLogger("callcov_auth").setLevel(logging.ERROR)
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(serve(APPS[name], socket.socket(fileno=int(descriptor))))


if __name__ == "__main__":
    main(sys.argv[1:])
