"""The refusals as OpenAPI documents them: by status, with their codes and their body."""

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from pydantic import BaseModel

from callcov_auth.asgi.endpoints import Endpoint
from callcov_auth.errors import (
    AuthError,
    AuthUnavailable,
    BodyTooLarge,
    Conflict,
    HttpsRequired,
    InsufficientPermissions,
    InternalError,
    InvalidCredentials,
    InvalidToken,
    KeyLimitReached,
    MalformedJson,
    MissingToken,
    NotFound,
    RateLimited,
    TokenExpired,
    TokenRevoked,
    ValidationFailed,
)

Responses = dict[int | str, dict[str, Any]]


class Problem(BaseModel):
    code: str
    message: str
    details: dict[str, Any] | None = None
    request_id: str


class Refusal(BaseModel):
    """What every refusal's body is, unless ``render_refusal`` gives it another form."""

    error: Problem


_ALWAYS = (
    InvalidToken,
    TokenExpired,
    TokenRevoked,
    HttpsRequired,
    RateLimited,
    InternalError,
    AuthUnavailable,
)
_GUARDED = (MissingToken, *_ALWAYS, InsufficientPermissions)
_BODY = (MalformedJson, BodyTooLarge, ValidationFailed)
# Beside what its kind of endpoint refuses.
_ALSO: dict[str, tuple[type[AuthError], ...]] = {
    "login": (InvalidCredentials,),
    "create_key": (NotFound, KeyLimitReached),
    "get_key": (NotFound,),
    "revoke_key": (NotFound,),
    "rotate_key": (NotFound, Conflict, KeyLimitReached),
    "me": (NotFound,),
}


def responses(refusals: Iterable[type[AuthError]]) -> Responses:
    """Return ``refusals`` for FastAPI's ``responses=``, those of one status together."""
    by_status = groupby(sorted(refusals, key=_status), key=_status)
    return {status: _response(list(group)) for status, group in by_status}


def refusals_of(endpoint: Endpoint) -> Responses:
    """Return what one of our own endpoints may refuse with."""
    named = [*(_GUARDED if endpoint.needs_token else _ALWAYS), *_ALSO.get(endpoint.run.__name__, ())]
    if endpoint.takes is not None:
        named += [ValidationFailed] if endpoint.method == "GET" else _BODY
    return responses(named)


def _status(refusal: type[AuthError]) -> int:
    return refusal.status


def _response(refusals: list[type[AuthError]]) -> dict[str, Any]:
    lines = [f"`{refusal.code}`: {refusal.description}" for refusal in refusals]
    examples = {refusal.code: {"value": _example(refusal)} for refusal in refusals}
    return {
        "model": Refusal,
        "description": "\n\n".join(lines),
        "content": {"application/json": {"examples": examples}},
    }


def _example(refusal: type[AuthError]) -> dict[str, Any]:
    return {"error": {"code": refusal.code, "message": refusal.description, "request_id": "4f0c2e"}}


REFUSALS = responses(_GUARDED)
"""What every route that is guarded may refuse with: ``FastAPI(responses=REFUSALS)``, or on one route."""
OPEN_REFUSALS = responses(_ALWAYS)
CHECK_REFUSALS = responses([*_GUARDED, ValidationFailed])
