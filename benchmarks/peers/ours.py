"""callcov-auth at its defaults, on the frameworks that the others are measured on."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

from starlette.applications import Starlette
from starlette.middleware import Middleware

from benchmarks.peers.apps import starlette_app
from benchmarks.peers.subject import Headers, Subject
from callcov_auth import Auth, AuthMiddleware, AuthSettings

NAME = "callcov-auth"
SCOPES = ("analysis:read", "analysis:write")

Build = Callable[..., Starlette]


def bearer(credential: str) -> Callable[[], Headers]:
    """Return what makes the header of such a bearer: new bytes at each call."""
    value = b"Bearer " + credential.encode()
    return lambda: [(b"Authorization".lower(), bytes(memoryview(value)))]


def memory_settings(**changes: Any) -> AuthSettings:
    """Return the defaults, but for a new secret, a database in memory, any refusals, and ``changes``."""
    values = {
        "secret": secrets.token_urlsafe(48),
        "database_url": "sqlite://",
        # What is measured of floods is what each refused credential costs, and not its 429.
        "failure_rate": None,
        **changes,
    }
    return AuthSettings(_env_file=None, **values)


async def opened(stack: AsyncExitStack) -> Auth:
    """Return an Auth that is open until the stack ends."""
    return await stack.enter_async_context(Auth(memory_settings()))


def subject(auth: Auth, credential: str, build: Build = starlette_app) -> Subject:
    """Return our middleware on the app that ``build`` gives, for the bearer of ``credential``."""
    app = build(Middleware(AuthMiddleware, auth=auth))
    return Subject(NAME, True, app, build(), bearer(credential), more="", less="")


async def new_key(auth: Auth) -> str:
    user = await auth.users.create(
        f"{secrets.token_hex(4)}@example.com", secrets.token_urlsafe(16), scopes=SCOPES
    )
    return (await auth.keys.create(user.id, name="benchmark")).api_key.get_secret_value()


async def new_token(auth: Auth) -> str:
    return await auth.tokens.issue("benchmark", scopes=SCOPES)


async def with_key(stack: AsyncExitStack, build: Build = starlette_app) -> Subject:
    auth = await opened(stack)
    return subject(auth, await new_key(auth), build)


async def with_token(stack: AsyncExitStack, build: Build = starlette_app) -> Subject:
    auth = await opened(stack)
    return subject(auth, await new_token(auth), build)
