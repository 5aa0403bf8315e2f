"""Litestar's ``JWTAuth``, on Litestar: as its documentation shows, and with a key that is ready."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import jwt
from starlette.types import ASGIApp

from benchmarks.peers.guarded import CALLER
from benchmarks.peers.ours import bearer
from benchmarks.peers.subject import Subject

NAME = "litestar-jwt"
REQUIREMENTS: tuple[str, ...] = ("litestar[jwt]>=2.20,<3",)
PYTHON: str | None = None

MORE = "The user is looked up at each request, and its scheme is shown in OpenAPI."
LESS = (
    "A token is revoked by a function of yours; no API keys, scopes or other issuers; it takes a token "
    "after any scheme."
)


@dataclass(frozen=True, slots=True)
class User:
    id: str
    name: str


USERS = {"1": User("1", CALLER)}


async def retrieve_user(token: Any, _connection: Any) -> User | None:
    return USERS.get(token.sub)


def litestar_app(name: Callable[[Any], str], *on_app_init: Callable[[Any], Any]) -> ASGIApp:
    from litestar import Litestar, Request, get

    @get("/hello")
    async def hello(request: Request[Any, Any, Any]) -> dict[str, str]:
        return {"hello": name(request)}

    # Its own set-up of logging is for the whole process: it would have ours write each of its events too.
    return Litestar(route_handlers=[hello], on_app_init=on_app_init, logging_config=None)


def with_key_ready(secret: str) -> type:
    """Return a token that decodes itself with a key and a decoder that are made once."""
    from litestar.security.jwt import Token

    key = jwt.PyJWK({"kty": "oct", "alg": "HS256", "k": jwt.utils.base64url_encode(secret.encode()).decode()})
    decoder = jwt.PyJWT()

    class Ready(Token):
        @classmethod
        def decode_payload(cls, encoded_token: str, **settings: Any) -> Any:
            del settings["secret"]
            return decoder.decode(encoded_token, key, **settings)

    return Ready


async def subjects(_stack: AsyncExitStack) -> list[Subject]:
    from litestar.security.jwt import JWTAuth

    secret = secrets.token_urlsafe(48)
    documented = JWTAuth[User](
        retrieve_user_handler=retrieve_user, token_secret=secret, exclude=["/login", "/schema"]
    )
    tuned = JWTAuth[User](
        retrieve_user_handler=retrieve_user, token_secret=secret, token_cls=with_key_ready(secret)
    )
    bare, headers = litestar_app(lambda _: CALLER), bearer(documented.create_token("1"))

    def subject(is_tuned: bool, auth: Any) -> Subject:
        app = litestar_app(lambda request: request.user.name, auth.on_app_init)
        return Subject(NAME, is_tuned, app, bare, headers, MORE, LESS)

    return [subject(False, documented), subject(True, tuned)]
