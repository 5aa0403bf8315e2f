"""Who is calling, and what the caller may do."""

from collections.abc import Collection, Iterator, Mapping
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import lru_cache
from types import MappingProxyType
from typing import Any, Literal

Kind = Literal["api_key", "token", "anonymous"]


def grants(granted: Collection[str], scope: str) -> bool:
    """Whether ``granted`` holds ``scope`` itself, ``*``, or a wildcard such as ``calls:*`` above it."""
    if scope in granted or "*" in granted:
        return True
    colon = scope.find(":")
    while colon != -1:
        if scope[: colon + 1] + "*" in granted:
            return True
        colon = scope.find(":", colon + 1)
    return False


@lru_cache(maxsize=1024)
def cut(scopes: frozenset[str], limit: frozenset[str]) -> frozenset[str]:
    """Return what both sides grant; a wildcard on either side is narrowed to the other's scopes."""
    return frozenset([s for s in scopes if grants(limit, s)] + [s for s in limit if grants(scopes, s)])


def frozen(value: Any) -> Any:
    """Return JSON data as an equal value that nothing on the request can change."""
    if isinstance(value, Mapping):
        return MappingProxyType({name: frozen(item) for name, item in value.items()})
    if isinstance(value, list):
        return tuple(frozen(item) for item in value)
    return value


class GrantedScopes(Collection[str]):
    """A principal's scopes as Starlette's ``requires`` reads them: ``in`` honours wildcards.

    Starlette's convention that a caller with an identity has the scope ``authenticated`` is kept.
    """

    __slots__ = ("_scopes",)

    def __init__(self, scopes: frozenset[str], *, authenticated: bool) -> None:
        self._scopes = scopes | {"authenticated"} if authenticated else scopes

    def __contains__(self, scope: object) -> bool:
        return isinstance(scope, str) and grants(self._scopes, scope)

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._scopes))

    def __len__(self) -> int:
        return len(self._scopes)


@dataclass(frozen=True, slots=True)
class Credentials:
    """What stands in ``scope["auth"]``: the shape of Starlette's ``AuthCredentials``."""

    scopes: GrantedScopes


@lru_cache(maxsize=1024)
def _credentials(scopes: frozenset[str], authenticated: bool) -> Credentials:
    return Credentials(GrantedScopes(scopes, authenticated=authenticated))


_NO_CLAIMS: Mapping[str, Any] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Principal:
    """The caller of a request. Immutable, so nothing on the request can gain rights.

    ``subject`` is unique within ``issuer``. ``expires_at`` is in Unix seconds; None means that the
    credential does not end by itself. ``claims`` is empty but for tokens.
    """

    subject: str
    issuer: str
    kind: Kind
    scopes: frozenset[str] = frozenset()
    environment: str | None = None
    segment: str | None = None
    key_id: str | None = None
    session_id: str | None = None
    expires_at: float | None = None
    claims: Mapping[str, Any] = field(default_factory=dict, repr=False, hash=False)
    # Made once here, so that a cached principal is attached to a request without any work.
    credentials: Credentials = field(init=False, repr=False, compare=False)
    """What ``request.auth`` is: the scopes as Starlette's ``requires`` reads them."""

    def __post_init__(self) -> None:
        scopes = frozenset(self.scopes)
        object.__setattr__(self, "scopes", scopes)
        object.__setattr__(self, "credentials", _credentials(scopes, self.is_authenticated))
        object.__setattr__(self, "claims", frozen(self.claims) if self.claims else _NO_CLAIMS)

    def has(self, *scopes: str) -> bool:
        """Whether every one of ``scopes`` is granted, by itself or by a wildcard."""
        return all(grants(self.scopes, scope) for scope in scopes)

    @property
    def is_authenticated(self) -> bool:
        """Whether there is a credential; Starlette asks for it."""
        return self.kind != "anonymous"

    @property
    def display_name(self) -> str:
        """The subject; Starlette asks for it."""
        return self.subject

    @property
    def identity(self) -> str:
        """The subject; Starlette asks for it."""
        return self.subject


ANONYMOUS = Principal(subject="", issuer="", kind="anonymous")
"""The caller of a path that is open, where no credential was sent."""

principal_in_context: ContextVar[Principal] = ContextVar("callcov_auth_principal")
"""The caller of the request that runs now."""
