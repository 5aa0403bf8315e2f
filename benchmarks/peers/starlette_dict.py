"""Starlette's AuthenticationMiddleware, with a backend that looks the credential up in a dict."""

import secrets
from contextlib import AsyncExitStack

from starlette.authentication import (
    AuthCredentials,
    AuthenticationBackend,
    AuthenticationError,
    BaseUser,
    SimpleUser,
)
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from benchmarks.peers.apps import starlette_app
from benchmarks.peers.ours import SCOPES, bearer
from benchmarks.peers.subject import Subject

NAME = "authentication-middleware"
REQUIREMENTS: tuple[str, ...] = ()
PYTHON: str | None = None

MORE = "Takes any backend, so any kind of credential."
LESS = (
    "The backend is yours to write: here a dict, without expiry or revocation, keys or tokens that can be "
    "made, a check for two credentials or for HTTPS; its refusals are 400."
)

Found = tuple[AuthCredentials, BaseUser]


class AsDocumented(AuthenticationBackend):
    """The backend of Starlette's documentation, with a token in the place of a password."""

    def __init__(self, users: dict[str, str]) -> None:
        self.users = users

    async def authenticate(self, conn: HTTPConnection) -> Found | None:
        if "Authorization" not in conn.headers:
            raise AuthenticationError("A credential is needed")
        scheme, token = conn.headers["Authorization"].split()
        if scheme.lower() != "bearer" or token not in self.users:
            raise AuthenticationError("Invalid credential")
        return AuthCredentials(SCOPES), SimpleUser(self.users[token])


class Tuned(AuthenticationBackend):
    """The scope's own bytes, and what is found is ready."""

    def __init__(self, found: dict[bytes, Found]) -> None:
        self.found = found

    async def authenticate(self, conn: HTTPConnection) -> Found | None:
        for name, value in conn.scope["headers"]:
            if name == b"authorization":
                found = self.found.get(value)
                if found is not None:
                    return found
        raise AuthenticationError("Invalid credential")


async def subjects(_stack: AsyncExitStack) -> list[Subject]:
    key = f"sk_live_{secrets.token_hex(24)}"
    ready: Found = (AuthCredentials(SCOPES), SimpleUser("benchmark"))
    documented = Middleware(AuthenticationMiddleware, backend=AsDocumented({key: "benchmark"}))
    tuned = Middleware(AuthenticationMiddleware, backend=Tuned({f"Bearer {key}".encode(): ready}))
    bare, headers = starlette_app(), bearer(key)
    return [
        Subject(NAME, False, starlette_app(documented), bare, headers, MORE, LESS),
        Subject(NAME, True, starlette_app(tuned), bare, headers, MORE, LESS),
    ]
