"""FastAPI's tutorial on security: ``OAuth2PasswordBearer``, PyJWT, and a dict of users."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta
from operator import attrgetter
from typing import Annotated, Any

import jwt
from fastapi import Depends, HTTPException
from fastapi.security import OAuth2PasswordBearer
from pydantic import BaseModel

from benchmarks.peers.apps import fastapi_app
from benchmarks.peers.guarded import CALLER, guarded_app
from benchmarks.peers.ours import bearer
from benchmarks.peers.subject import Subject

NAME = "fastapi-tutorial"
REQUIREMENTS: tuple[str, ...] = ("fastapi>=0.120", "pyjwt>=2.15.1")
PYTHON: str | None = None

MORE = "Shows its scheme in OpenAPI; the user is looked up at each request, so that one can be disabled."
LESS = (
    "A token cannot be revoked; no issuer, audience or scopes, no API keys, no refresh, and each endpoint "
    "has to ask for its caller."
)


class TokenData(BaseModel):
    username: str | None = None


class User(BaseModel):
    username: str
    email: str | None = None
    full_name: str | None = None
    disabled: bool | None = None


class UserInDB(User):
    hashed_password: str


RECORD = {
    "username": CALLER,
    "full_name": "John Doe",
    "email": "johndoe@example.com",
    "hashed_password": "",
    "disabled": False,
}


def refusal() -> HTTPException:
    return HTTPException(401, "Could not validate credentials", headers={"WWW-Authenticate": "Bearer"})


def documented(secret: str) -> Callable[..., Any]:
    """Return the two dependencies of the tutorial, with its models."""
    records = {CALLER: RECORD}
    scheme = OAuth2PasswordBearer(tokenUrl="token")

    async def current_user(token: Annotated[str, Depends(scheme)]) -> User:
        try:
            username = jwt.decode(token, secret, algorithms=["HS256"]).get("sub")
            if username is None:
                raise refusal()
            token_data = TokenData(username=username)
        except jwt.InvalidTokenError:
            raise refusal() from None
        if token_data.username not in records:
            raise refusal()
        return UserInDB(**records[token_data.username])

    async def current_active_user(user: Annotated[User, Depends(current_user)]) -> User:
        if user.disabled:
            raise HTTPException(400, "Inactive user")
        return user

    return current_active_user


def tuned(secret: str) -> Callable[..., Any]:
    """Return one dependency in the place of two: the users are ready, so are the key and the decoder."""
    users = {CALLER: UserInDB(**RECORD)}
    scheme = OAuth2PasswordBearer(tokenUrl="token")
    key = jwt.PyJWK({"kty": "oct", "alg": "HS256", "k": jwt.utils.base64url_encode(secret.encode()).decode()})
    decoder = jwt.PyJWT()

    async def current_active_user(token: Annotated[str, Depends(scheme)]) -> User:
        try:
            user = users.get(decoder.decode(token, key, ["HS256"]).get("sub"))
        except jwt.InvalidTokenError:
            raise refusal() from None
        if user is None or user.disabled:
            raise refusal()
        return user

    return current_active_user


async def subjects(_stack: AsyncExitStack) -> list[Subject]:
    secret = secrets.token_hex(32)
    claims = {"sub": CALLER, "exp": datetime.now(UTC) + timedelta(days=1)}
    bare, headers = fastapi_app(), bearer(jwt.encode(claims, secret, "HS256"))

    def subject(is_tuned: bool, dependency: Callable[..., Any]) -> Subject:
        app = guarded_app(dependency, attrgetter("username"))
        return Subject(NAME, is_tuned, app, bare, headers, MORE, LESS)

    return [subject(False, documented(secret)), subject(True, tuned(secret))]
