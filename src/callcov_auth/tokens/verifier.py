"""Token → Principal: the signature, then each claim, then the session where that is asked for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from callcov_auth.errors import TokenExpired, TokenRevoked
from callcov_auth.principal import Principal
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import Store
from callcov_auth.tokens.guards import refused, take_apart
from callcov_auth.tokens.keyring import Keyring
from callcov_auth.validation import is_scope_token

ACCESS = "at+jwt"
"""RFC 9068 §2.1."""
REFRESH = "rt+jwt"

# Beyond it a double no longer holds every whole second.
MAX_TIME = 2**53
MAX_NAME = 255

Claims = Mapping[str, Any]


@dataclass(slots=True)
class TokenVerifier:
    settings: AuthSettings
    store: Store
    keyring: Keyring
    clock: Callable[[], float]

    async def verify(self, text: str) -> Principal:
        """Raises InvalidToken, TokenExpired, TokenRevoked, or AuthUnavailable."""
        claims = self.claims_of(text, ACCESS)
        if self.settings.revocable_access_tokens:
            await self._refuse_ended_session(claims)
        return Principal(
            subject=claims["sub"],
            issuer=claims["iss"],
            kind="token",
            scopes=frozenset(claims.get("scope", "").split()),
            session_id=claims.get("sid"),
            expires_at=claims["exp"],
            claims=claims,
        )

    def claims_of(self, text: str, typ: str) -> Claims:
        """Return the claims of a genuine, timely token of our own with this ``typ``.

        Raises InvalidToken, and TokenExpired for one that lacks nothing but time.
        """
        token = take_apart(text)
        key = self.keyring.find(token.header.get("kid"))
        if key is None:
            raise refused("unknown_kid")
        if token.header.get("alg") != key.alg:
            raise refused("alg_not_the_keys")
        if _media_type(token.header.get("typ")) != typ:
            raise refused("wrong_typ")
        if not key.verifies(token.signed, token.signature):
            raise refused("signature_wrong")
        self._check_claims(token.claims)
        return token.claims

    def _check_claims(self, claims: Claims) -> None:
        for name in ("iss", "sub"):
            _check_name(claims, name)
        for name in ("jti", "sid"):
            if name in claims:
                _check_name(claims, name)
        if claims["iss"] != self.settings.issuer:
            raise refused("wrong_iss")
        _check_audience(claims.get("aud"), self.settings.audience)
        _check_scope(claims.get("scope", ""))
        self._check_times(claims)

    def _check_times(self, claims: Claims) -> None:
        now, leeway = self.clock(), self.settings.leeway
        for name in ("iat", "nbf"):
            if name in claims and _time(claims, name) > now + leeway:
                raise refused(f"{name}_in_the_future")
        if _time(claims, "exp") <= now - leeway:
            raise TokenExpired(reason="token_expired")

    async def _refuse_ended_session(self, claims: Claims) -> None:
        session = await self.store.session(claims.get("sid", ""))
        if session is None or session.revoked_at is not None:
            raise TokenRevoked("The session was ended", reason="session_revoked")


def _media_type(typ: object) -> str | None:
    # RFC 7515 §4.1.9: compared without case, and 'application/' may be left out.
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else None


def _check_name(claims: Claims, name: str) -> None:
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


def _check_scope(value: object) -> None:
    if not isinstance(value, str) or not all(is_scope_token(part) for part in value.split(" ") if value):
        raise refused("scope_malformed")


def _time(claims: Claims, name: str) -> float:
    value = claims.get(name)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_TIME:
        raise refused(f"{name}_missing_or_malformed")
    return value
