"""What a token must claim (RFC 7519 §4.1, RFC 9068 §2.2), typed: nothing is converted."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from callcov_auth.errors import TokenExpired
from callcov_auth.tokens.guards import refused
from callcov_auth.validation import is_scope_token

# Beyond it a double no longer holds every whole second.
MAX_TIME = 2**53
MAX_NAME = 255
MAX_SCOPES = 1000

Claims = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class ClaimRules:
    """What one issuer's tokens must claim. ``leeway`` is in seconds."""

    issuer: str
    audience: str
    leeway: float = 0
    scope_claim: str = "scope"

    def check(self, claims: Claims, now: float) -> frozenset[str]:
        """Return what the token grants.

        Raises InvalidToken, and TokenExpired for claims that lack nothing but time.
        """
        if claims.get("iss") != self.issuer:
            raise refused("wrong_iss")
        _check_name(claims, "sub")
        for name in ("jti", "sid"):
            if name in claims:
                _check_name(claims, name)
        _check_audience(claims.get("aud"), self.audience)
        scopes = self.scopes(claims)
        self._check_times(claims, now)
        return scopes

    def scopes(self, claims: Claims) -> frozenset[str]:
        """Return what the token grants. Raises InvalidToken."""
        value = claims.get(self.scope_claim, "")
        if isinstance(value, str):
            # RFC 8693 §4.2: separated by single spaces.
            listed = value.split(" ") if value else []
        elif isinstance(value, list) and self.scope_claim != "scope":
            listed = value
        else:
            raise refused("scope_malformed")
        if len(listed) > MAX_SCOPES or not all(map(_is_scope, listed)):
            raise refused("scope_malformed")
        return frozenset(listed)

    def _check_times(self, claims: Claims, now: float) -> None:
        for name in ("iat", "nbf"):
            if name in claims and _time(claims, name) > now + self.leeway:
                raise refused(f"{name}_in_the_future")
        if _time(claims, "exp") <= now - self.leeway:
            raise TokenExpired(reason="token_expired")


def _is_scope(part: object) -> bool:
    return isinstance(part, str) and is_scope_token(part)


def _check_name(claims: Claims, name: str) -> None:
    """A string that reaches headers and logs: of some length, without control characters."""
    value = claims.get(name)
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise refused(f"{name}_missing_or_malformed")
    if not value.isprintable():
        raise refused(f"{name}_not_printable")


def _check_audience(value: object, audience: str) -> None:
    listed = [value] if isinstance(value, str) else value
    if not isinstance(listed, list) or not all(isinstance(item, str) for item in listed):
        raise refused("aud_missing_or_malformed")
    if audience not in listed:
        raise refused("wrong_aud")


def _time(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_TIME:
        raise refused(f"{name}_missing_or_malformed")
    return value
