"""Token → Principal: whose it is, that issuer's key, the signature, each claim, the session if asked for."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from callcov_auth.errors import TokenRevoked
from callcov_auth.principal import Principal
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import Store
from callcov_auth.tokens.claims import ClaimRules, Claims
from callcov_auth.tokens.guards import Unverified, refused, take_apart
from callcov_auth.tokens.jwk import VerifyingKey

ACCESS = "at+jwt"
"""RFC 9068 §2.1."""
REFRESH = "rt+jwt"


class KeySource(Protocol):
    """Where an issuer's keys come from."""

    async def find(self, kid: object) -> VerifyingKey | None:
        """Return the key that a header's ``kid`` means. Raises AuthUnavailable if that cannot be known."""
        ...


@dataclass(frozen=True, slots=True)
class Issuer:
    """Whose tokens are taken: by which keys, under which ``typ``, with which claims.

    A ``typ`` is in lower case, without 'application/'; None is a header that has none.
    """

    rules: ClaimRules
    keys: KeySource
    types: frozenset[str | None]


class NoKeys:
    """The keys of an issuer that has none: a resource server's own."""

    async def find(self, kid: object) -> VerifyingKey | None:  # noqa: ARG002
        return None


NO_KEYS = NoKeys()


class TokenVerifier:
    """Verifies the tokens of our own issuer and of those that are trusted, each by its own keys alone."""

    def __init__(
        self,
        settings: AuthSettings,
        store: Store,
        own_keys: KeySource | None,
        trusted: Sequence[Issuer],
        clock: Callable[[], float],
    ) -> None:
        rules = ClaimRules(settings.issuer, settings.audience, settings.leeway)
        self._own = Issuer(rules, own_keys or NO_KEYS, frozenset({ACCESS}))
        self._refresh = Issuer(rules, own_keys or NO_KEYS, frozenset({REFRESH}))
        self._issuers = {issuer.rules.issuer: issuer for issuer in (*trusted, self._own)}
        self._revocable = settings.revocable_access_tokens
        self._store = store
        self._clock = clock

    async def verify(self, text: str) -> Principal:
        """Raises InvalidToken, TokenExpired, TokenRevoked, or AuthUnavailable."""
        token = take_apart(text)
        claims = token.claims()
        issuer = self._issuer(claims)
        scopes = await self._check(token, claims, issuer)
        if self._revocable and issuer is self._own:
            await self._refuse_ended_session(claims)
        return Principal(
            subject=claims["sub"],
            issuer=claims["iss"],
            kind="token",
            scopes=scopes,
            session_id=claims.get("sid"),
            expires_at=claims["exp"],
            claims=claims,
        )

    async def refresh_claims(self, text: str) -> Claims:
        """Return the claims of a refresh token of ours. Raises as ``verify`` does."""
        token = take_apart(text)
        claims = token.claims()
        await self._check(token, claims, self._refresh)
        return claims

    def _issuer(self, claims: Claims) -> Issuer:
        name = claims.get("iss")
        issuer = self._issuers.get(name) if isinstance(name, str) else None
        if issuer is None:
            raise refused("wrong_iss")
        return issuer

    async def _check(self, token: Unverified, claims: Claims, issuer: Issuer) -> frozenset[str]:
        await check_signature(token, issuer.keys, issuer.types)
        return issuer.rules.check(claims, self._clock())

    async def _refuse_ended_session(self, claims: Claims) -> None:
        session = await self._store.session(claims.get("sid", ""))
        if session is None or session.revoked_at is not None:
            raise TokenRevoked("The session was ended", reason="session_revoked")


async def check_signature(
    token: Unverified, keys: KeySource, types: frozenset[str | None] | None = None
) -> None:
    """Hold a token against the key that it means; without ``types`` any ``typ`` will do.

    Raises InvalidToken, or AuthUnavailable where the keys cannot be had.
    """
    if types is not None and _media_type(token.header.get("typ")) not in types:
        raise refused("wrong_typ")
    key = await keys.find(token.header.get("kid"))
    if key is None:
        raise refused("unknown_kid")
    if token.header.get("alg") != key.alg:
        raise refused("alg_not_the_keys")
    if not key.verifies(token.signed, token.signature):
        raise refused("signature_wrong")


def _media_type(typ: object) -> str | None:
    # RFC 7515 §4.1.9: compared without case, and 'application/' may be left out.
    if typ is None:
        return None
    return typ.lower().removeprefix("application/") if isinstance(typ, str) else ""
