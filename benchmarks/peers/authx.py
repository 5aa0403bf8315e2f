"""authx: ``access_token_required``, as in its quick start; and its own two steps without the scheme."""

import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from operator import attrgetter
from typing import Any

from fastapi import Request

from benchmarks.peers.apps import fastapi_app
from benchmarks.peers.guarded import CALLER, guarded_app
from benchmarks.peers.ours import bearer
from benchmarks.peers.subject import Subject

NAME = "authx"
REQUIREMENTS: tuple[str, ...] = ("authx>=1.7,<1.8",)
PYTHON: str | None = None

MORE = "Takes tokens from cookies too, with protection against CSRF, and has fresh tokens and sessions."
LESS = (
    "No API keys, users or logins; a token is revoked by a function of yours; no other issuers; a token "
    "without a scheme is taken too, and a broken one is refused with 422."
)


def tuned(auth: Any) -> Callable[..., Any]:
    """Return a dependency of what ``access_token_required`` calls.

    That one asks for two more, for cookies and the query, that do nothing here but cost a thread each, and
    looks at each request whether the app has its handlers of errors.
    """

    async def access_token(request: Request) -> Any:
        token = await auth.get_access_token_from_request(request, ["headers"])
        return auth.verify_token(token, verify_csrf=False)

    return access_token


async def subjects(_stack: AsyncExitStack) -> list[Subject]:
    from authx import AuthX, AuthXConfig

    auth = AuthX(
        AuthXConfig(
            JWT_SECRET_KEY=secrets.token_urlsafe(48),
            JWT_TOKEN_LOCATION=["headers"],
            JWT_ACCESS_TOKEN_EXPIRES=timedelta(days=1),
        )
    )
    bare, headers = fastapi_app(), bearer(auth.create_access_token(CALLER))

    def subject(is_tuned: bool, dependency: Callable[..., Any]) -> Subject:
        app = guarded_app(dependency, attrgetter("sub"))
        auth.handle_errors(app)
        return Subject(NAME, is_tuned, app, bare, headers, MORE, LESS)

    return [subject(False, auth.access_token_required), subject(True, tuned(auth))]
