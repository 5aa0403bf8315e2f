"""What an endpoint asks about its caller: ``requires`` and ``current_principal``."""

import functools
import inspect
from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar
from weakref import WeakSet

from callcov_auth.errors import InsufficientPermissions, MissingToken
from callcov_auth.principal import Principal, principal_in_context
from callcov_auth.validation import is_scope_token

P = ParamSpec("P")
R = TypeVar("R")

# The functions that ``requires`` stands around.
_inner: WeakSet[Any] = WeakSet()


def current_principal() -> Principal:
    """Return the caller of the request that runs now. Raises RuntimeError outside of one."""
    principal = principal_in_context.get(None)
    if principal is None:
        raise RuntimeError(
            "there is no current request here, or AuthMiddleware is not mounted around the app"
        )
    return principal


def requires(*scopes: str) -> Callable[[Callable[P, R]], Callable[P, R]]:
    """Let an endpoint be called only by a principal who has every one of ``scopes``.

    For HTTP and WebSocket endpoints, async or not; with no scope named, any credential will do. It goes below
    the decorator that makes the route: above it nothing is guarded, of which AuthMiddleware warns. Refuses
    with MissingToken (no credential was sent) or InsufficientPermissions.
    """
    for scope in scopes:
        if not is_scope_token(scope):
            raise ValueError(f"{scope!r} is no scope-token (RFC 6749 §3.3)")

    def decorate(endpoint: Callable[P, R]) -> Callable[P, R]:
        if inspect.isfunction(endpoint):
            _inner.add(endpoint)
        if inspect.iscoroutinefunction(endpoint):

            @functools.wraps(endpoint)
            async def guarded(*args: P.args, **kwargs: P.kwargs) -> object:
                check(current_principal(), *scopes)
                return await endpoint(*args, **kwargs)

            return guarded  # type: ignore[return-value]

        @functools.wraps(endpoint)
        def guarded_sync(*args: P.args, **kwargs: P.kwargs) -> R:
            check(current_principal(), *scopes)
            return endpoint(*args, **kwargs)

        return guarded_sync

    return decorate


def is_left_out(endpoint: object) -> bool:
    """Whether ``requires`` stands around this function, and so not around a route that has it itself."""
    return inspect.isfunction(endpoint) and endpoint in _inner


def check(principal: Principal, *scopes: str) -> None:
    """Raises MissingToken or InsufficientPermissions."""
    if not principal.is_authenticated:
        raise MissingToken()
    if not principal.has(*scopes):
        raise InsufficientPermissions(*scopes, reason="scope_lacking")
