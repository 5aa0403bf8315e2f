"""fake_auth: a caller of the test's choice, with no credential, no cryptography and no database."""

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Self

from starlette.applications import Starlette
from starlette.types import Scope

from callcov_auth.asgi.inside import everything_inside
from callcov_auth.asgi.middleware import AuthMiddleware
from callcov_auth.events import OnEvent
from callcov_auth.principal import Principal
from callcov_auth.settings import AuthSettings

# Where middlewares and frameworks keep what they wrap, besides ``app`` and ``routes``.
_INNER = ("_app", "application", "asgi_app", "asgi_handler", "inner", "middleware_stack", "wrapped")


@contextmanager
def fake_auth(app: Any, principal: Principal) -> Iterator[None]:
    """Let every request of ``app`` come from ``principal``, whatever it carries, until the block ends.

    HTTP and WebSockets, over TLS or not. AuthMiddleware may stand anywhere in the app's stack, and more than
    once; it is not opened. FastAPI's dependencies do without it. ANONYMOUS is a caller too.
    Raises LookupError where there is nothing that authenticates.
    """
    inside = list(_stack_of(app))
    found = [each for each in inside if isinstance(each, AuthMiddleware)]
    doors = list(_doors_in(inside))
    if not found and not doors:
        raise LookupError(
            f"there is no AuthMiddleware to be found in {type(app).__name__}: "
            "give fake_auth the AuthMiddleware itself"
        )
    with ExitStack() as fakes:
        for middleware in found:
            fakes.enter_context(_faked(middleware, principal))
        for door in doors:
            fakes.enter_context(_replaced(door, _gate=_OpenGate(principal)))
        yield


def token_principal(*scopes: str, subject: str = "usr_test", **fields: Any) -> Principal:
    """Return a user who came with an access token; ``fields`` are those of Principal."""
    given = {"issuer": "callcov", "session_id": "ses_test", **fields}
    return Principal(subject=subject, kind="token", scopes=frozenset(scopes), **given)


def key_principal(*scopes: str, subject: str = "usr_test", **fields: Any) -> Principal:
    """Return a user who came with an API key; ``fields`` are those of Principal."""
    given = {"issuer": "callcov", "environment": "live", "key_id": "key_test", **fields}
    return Principal(subject=subject, kind="api_key", scopes=frozenset(scopes), **given)


@contextmanager
def _faked(middleware: AuthMiddleware, principal: Principal) -> Iterator[None]:
    faked = {
        "_gate": _OpenGate(principal),
        "auth": _UnopenedAuth(middleware.auth.settings),
        # So that none takes the short way, which asks the cache.
        "_plain": None,
        "_plain_too": None,
    }
    try:
        with _replaced(middleware, **faked):
            yield
    finally:
        if middleware._looked_inside:
            middleware._plain, middleware._plain_too = middleware._gate.plain_schemes


@contextmanager
def _replaced(holder: object, **attributes: Any) -> Iterator[None]:
    kept = {name: vars(holder)[name] for name in attributes}
    vars(holder).update(attributes)
    try:
        yield
    finally:
        vars(holder).update(kept)


def _doors_in(inside: list[object]) -> Iterator[object]:
    """Yield what authenticates in FastAPI apps without a middleware."""
    # Where it was not imported, no app uses it, and FastAPI need not be there.
    callers = sys.modules.get("callcov_auth.fastapi.callers")
    if callers is None:
        return
    for app in inside:
        if not isinstance(app, Starlette):
            continue
        try:
            yield callers.door_of(app)
        except RuntimeError:
            # It includes no router, so that its dependencies, if it has any, rely on a middleware.
            continue


@dataclass(frozen=True, slots=True)
class _OpenGate:
    """In the place of Gate: everybody is ``principal``."""

    principal: Principal
    plain_schemes: tuple[str | None, str | None] = (None, None)

    async def admit(self, _scope: Scope) -> Principal:
        return self.principal


@dataclass(frozen=True, slots=True)
class _UnopenedAuth:
    """In the place of Auth: a lifespan opens nothing."""

    settings: AuthSettings

    @property
    def on_event(self) -> OnEvent | None:
        return self.settings.on_event

    @property
    def listener(self) -> OnEvent | None:
        return self.settings.on_event

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        return None


def _stack_of(app: Any) -> Iterator[object]:
    """Yield all that a request of ``app`` may come to, each once."""
    waiting, seen = [app], set()
    while waiting:
        for found in everything_inside(waiting.pop()):
            if id(found) in seen:
                continue
            seen.add(id(found))
            yield found
            if isinstance(found, Starlette) and found.middleware_stack is None:
                # As its first request would.
                found.middleware_stack = found.build_middleware_stack()
            waiting += [inner for name in _INNER if (inner := getattr(found, name, None)) is not None]
