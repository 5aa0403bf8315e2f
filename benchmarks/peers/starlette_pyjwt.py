"""Starlette's AuthenticationMiddleware, with a backend that decodes an HS256 token by PyJWT each time."""

import secrets
import time
from contextlib import AsyncExitStack
from typing import Any

import jwt
from starlette.authentication import AuthCredentials, AuthenticationBackend, AuthenticationError, SimpleUser
from starlette.middleware import Middleware
from starlette.middleware.authentication import AuthenticationMiddleware
from starlette.requests import HTTPConnection

from benchmarks.peers.apps import starlette_app
from benchmarks.peers.ours import SCOPES, bearer
from benchmarks.peers.subject import Subject

NAME = "pyjwt"
REQUIREMENTS: tuple[str, ...] = ()
PYTHON: str | None = None

MORE = "Nothing is kept between two requests."
LESS = "A token cannot be revoked, and there are no API keys, login or refresh; its refusals are 400."

ISSUER = AUDIENCE = "callcov"
REQUIRED = ["exp", "iss", "aud", "sub"]


class AsDocumented(AuthenticationBackend):
    """``jwt.decode``, with the claims that PyJWT's documentation says to check."""

    def __init__(self, secret: bytes) -> None:
        self.secret = secret

    async def authenticate(self, conn: HTTPConnection) -> tuple[AuthCredentials, SimpleUser]:
        scheme, _, token = conn.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            raise AuthenticationError("A credential is needed")
        try:
            claims = self.decode(token)
        except jwt.InvalidTokenError:
            raise AuthenticationError("Invalid credential") from None
        return AuthCredentials(claims["scope"].split()), SimpleUser(claims["sub"])

    def decode(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = jwt.decode(
            token, self.secret, ["HS256"], {"require": REQUIRED}, audience=AUDIENCE, issuer=ISSUER
        )
        return claims


class Tuned(AsDocumented):
    """The same checks, by a decoder that is made once and a key that is prepared once."""

    def __init__(self, secret: bytes) -> None:
        super().__init__(secret)
        self.decoder = jwt.PyJWT({"require": REQUIRED})
        self.key = jwt.PyJWK({"kty": "oct", "alg": "HS256", "k": jwt.utils.base64url_encode(secret).decode()})

    def decode(self, token: str) -> dict[str, Any]:
        claims: dict[str, Any] = self.decoder.decode(
            token, self.key, ["HS256"], audience=AUDIENCE, issuer=ISSUER
        )
        return claims


def signed(secret: bytes) -> str:
    now = int(time.time())
    claims = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "benchmark",
        "iat": now,
        "exp": now + 86_400,
        "jti": secrets.token_urlsafe(16),
        "scope": " ".join(SCOPES),
    }
    return jwt.encode(claims, secret, "HS256")


async def subjects(_stack: AsyncExitStack) -> list[Subject]:
    secret = secrets.token_bytes(32)
    bare, headers = starlette_app(), bearer(signed(secret))

    def built(backend: AsDocumented) -> Any:
        return starlette_app(Middleware(AuthenticationMiddleware, backend=backend))

    return [
        Subject(NAME, False, built(AsDocumented(secret)), bare, headers, MORE, LESS),
        Subject(NAME, True, built(Tuned(secret)), bare, headers, MORE, LESS),
    ]
