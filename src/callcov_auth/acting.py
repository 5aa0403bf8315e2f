"""Who acts, and from where, for whatever is told about it further down."""

from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Acting:
    """What is known of it: ``actor`` is a user's id, ``key:`` and a key's id, or ``cli``.

    ``path`` is without its query.
    """

    actor: str | None = None
    client: str | None = None
    request_id: str | None = None
    method: str | None = None
    path: str | None = None


_NOBODY = Acting()

# Made when somebody asks, for most requests have nothing to tell.
who_acts: ContextVar[Callable[[], Acting]] = ContextVar("callcov_auth_who_acts", default=lambda: _NOBODY)
