"""auth-middleware: its OIDC provider and guard on FastAPI, as in its README; and on Starlette, with HS256.

The provider's keys are at hand in both, so that none is charged for a network. So is a quiet log: otherwise
each request writes two lines to stderr.
"""

import secrets
import time
from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any

import jwt
from fastapi import Depends, FastAPI
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from benchmarks.peers.apps import fastapi_app, starlette_app
from benchmarks.peers.guarded import CALLER
from benchmarks.peers.ours import bearer
from benchmarks.peers.subject import Subject

NAME = "auth-middleware"
REQUIREMENTS: tuple[str, ...] = ("auth-middleware>=0.6,<0.7",)
PYTHON: str | None = "3.12"

MORE = "Knows the ways of Cognito and Entra ID; groups, roles and permissions from a database of yours."
LESS = (
    "No API keys, users or logins; nothing can be revoked; what has no credential reaches the app, and each "
    "endpoint has to have a guard."
)

ISSUER, AUDIENCE = "https://issuer.example.com", "benchmark"
Claims = dict[str, Any]


def claims(**others: Any) -> Claims:
    now = int(time.time())
    return {"iss": ISSUER, "aud": AUDIENCE, "sub": "1", "preferred_username": CALLER} | {
        "iat": now,
        "exp": now + 86_400,
        **others,
    }


def provider(key: Claims, **settings: Any) -> Any:
    from auth_middleware.providers.oidc.oidc_provider import OidcProvider
    from auth_middleware.providers.oidc.oidc_provider_settings import OidcProviderSettings

    class KeyAtHand(OidcProvider):
        async def get_keys(self) -> list[Claims]:
            return [key]

    return KeyAtHand(settings=OidcProviderSettings(issuer=ISSUER, audience=AUDIENCE, **settings))


def guarded_fastapi(middleware: Middleware) -> FastAPI:
    from auth_middleware.guards import require_user

    app = FastAPI(middleware=[middleware])

    @app.get("/hello", dependencies=[Depends(require_user())])
    async def hello(request: Request) -> dict[str, str]:
        return {"hello": request.state.current_user.name}

    return app


def guarded_starlette(middleware: Middleware) -> Starlette:
    async def hello(request: Request) -> JSONResponse:
        user = request.state.current_user
        if user is None:
            raise HTTPException(401)
        return JSONResponse({"hello": user.name})

    return Starlette(routes=[Route("/hello", hello)], middleware=[middleware])


def documented() -> tuple[Any, str]:
    """Return a provider of RS256 and an ID token of it, with an email as they have."""
    from cryptography.hazmat.primitives.asymmetric import rsa

    private = rsa.generate_private_key(65_537, 2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    token = jwt.encode(claims(email="world@example.com"), private, "RS256", headers={"kid": "1"})
    return provider({**public, "kid": "1", "alg": "RS256", "use": "sig"}), token


def tuned() -> tuple[Any, str]:
    """Return a provider of the cheapest algorithm, whose keys are read once, and the least token."""
    secret = secrets.token_bytes(32)
    key = {"kty": "oct", "kid": "1", "alg": "HS256", "k": jwt.utils.base64url_encode(secret).decode()}
    settings = {"algorithms": ["HS256"], "jwks_cache_strategy": "time", "jwks_background_refresh": False}
    return provider(key, **settings), jwt.encode(claims(), secret, "HS256", headers={"kid": "1"})


async def subjects(stack: AsyncExitStack) -> list[Subject]:
    from auth_middleware import JwtAuthMiddleware
    from loguru import logger

    logger.disable("auth_middleware")
    stack.callback(logger.enable, "auth_middleware")

    def subject(is_tuned: bool, guarded: Callable[[Middleware], Any], provided: tuple[Any, str]) -> Subject:
        app = guarded(Middleware(JwtAuthMiddleware, auth_provider=provided[0]))
        bare = starlette_app() if is_tuned else fastapi_app()
        return Subject(NAME, is_tuned, app, bare, bearer(provided[1]), MORE, LESS)

    return [subject(False, guarded_fastapi, documented()), subject(True, guarded_starlette, tuned())]
