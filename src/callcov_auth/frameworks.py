"""For frameworks that answer errors themselves: what their own error handler is to send.

Starlette and FastAPI need nothing of this.
"""

from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from callcov_auth.asgi.refusals import refusal_of
from callcov_auth.auth import Auth
from callcov_auth.errors import AuthError


@dataclass(frozen=True, slots=True)
class Answer:
    """A refusal as it goes on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


def answer_to(error: AuthError, scope: MutableMapping[str, Any], auth: Auth) -> Answer:
    """Return the answer to an ``error`` that an endpoint raised, in the form that ``auth`` is set to.

    ``scope`` is the request's ASGI scope. The refusal is logged as one by the middleware is.
    """
    status, headers, body = refusal_of(error, scope, auth)
    return Answer(status, {name.decode("latin-1"): value.decode("latin-1") for name, value in headers}, body)
