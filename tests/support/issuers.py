"""Issuers with keys of every kind, whose tokens are right but for what a case makes wrong."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cache
from secrets import token_bytes
from typing import Any

from cryptography.hazmat.primitives.asymmetric import ec, ed448, ed25519, rsa
from jwt.algorithms import get_default_algorithms

from callcov_auth import Auth
from tests.support.clock import Clock
from tests.support.settings import make_settings
from tests.support.tokens import Forge, as_json, base64url

ABSENT = Forge.ABSENT
AUDIENCE = "callcov-api"

_ALGORITHMS = get_default_algorithms()
_PUBLIC = ("kty", "crv", "x", "y", "n", "e", "k")
_CURVES = {"ES256": ec.SECP256R1, "ES384": ec.SECP384R1, "ES512": ec.SECP521R1}


@dataclass(frozen=True, slots=True)
class Signer:
    """A private key, with the algorithm and the name that it signs under."""

    kid: str | None
    alg: str
    key: Any = field(repr=False)

    def sign(self, signed: bytes) -> bytes:
        return _ALGORITHMS[self.alg].sign(signed, self.key)

    @property
    def public(self) -> Any:
        return self.key if isinstance(self.key, bytes) else self.key.public_key()

    def jwk(self, **changes: Any) -> dict[str, Any]:
        """Return what verifies; for a secret key, that is the key."""
        shown = _ALGORITHMS[self.alg].to_jwk(self.public, as_dict=True)
        right = {name: shown[name] for name in _PUBLIC if name in shown}
        return _changed(right | {"kid": self.kid, "alg": self.alg, "use": "sig"}, changes)

    def private_jwk(self, **changes: Any) -> dict[str, Any]:
        whole = _ALGORITHMS[self.alg].to_jwk(self.key, as_dict=True) | self.jwk()
        return _changed({name: value for name, value in whole.items() if name != "key_ops"}, changes)


@cache
def signer(alg: str, kid: str) -> Signer:
    """Return the one key of that name; it is made once in a run. ``alg`` may be an Edwards curve."""
    if alg.startswith("Ed"):
        curve = ed25519.Ed25519PrivateKey if alg == "Ed25519" else ed448.Ed448PrivateKey
        return Signer(kid, "EdDSA", curve.generate())
    if alg.startswith("ES"):
        return Signer(kid, alg, ec.generate_private_key(_CURVES[alg]()))
    if alg.startswith("HS"):
        return Signer(kid, alg, token_bytes(int(alg[2:]) // 8))
    return Signer(kid, alg, rsa.generate_private_key(65537, 2048))


@dataclass(frozen=True, slots=True)
class Party:
    """One that issues tokens. ABSENT takes a header or a claim away; bytes stand for the whole part."""

    issuer: str
    audience: str
    typ: str
    signer: Signer
    now: int
    usual: Mapping[str, Any] = field(default_factory=dict)
    """Claims in the place of those below."""

    def header(self, **changes: Any) -> dict[str, Any]:
        return _changed({"alg": self.signer.alg, "kid": self.signer.kid, "typ": self.typ}, changes)

    def claims(self, **changes: Any) -> dict[str, Any]:
        right = {
            "iss": self.issuer,
            "sub": "usr_1",
            "aud": self.audience,
            "exp": self.now + 1800,
            "iat": self.now,
            "nbf": self.now,
            "jti": "jti-1",
            "scope": "calls:read",
            "sid": "ses_1",
        }
        return _changed(right | self.usual, changes)

    def token(
        self,
        header: Mapping[str, Any] | bytes = b"",
        claims: Mapping[str, Any] | bytes = b"",
        by: Signer | None = None,
    ) -> str:
        """Return a token that differs from the right one in ``header`` and ``claims``, and is signed."""
        head = header if isinstance(header, bytes) and header else as_json(self.header(**dict(header)))
        body = claims if isinstance(claims, bytes) and claims else as_json(self.claims(**dict(claims)))
        return self.signed(f"{base64url(head)}.{base64url(body)}", by)

    def signed(self, text: str, by: Signer | None = None) -> str:
        return f"{text}.{base64url((by or self.signer).sign(text.encode()))}"


@dataclass(frozen=True, slots=True)
class World:
    """An open Auth, and those whose tokens it takes."""

    auth: Auth
    clock: Clock
    own: Party
    others: Mapping[str, Party]

    def __getitem__(self, name: str) -> Party:
        return self.own if name == "own" else self.others[name]


# Another of one algorithm, so that only the issuer tells two apart.
TRUSTED = ("RS256", "PS256", "ES256", "ES256-2", "ES384", "ES512", "Ed25519", "Ed448", "HS256")
PARTIES = ("own", *TRUSTED)
SPARE_KEY = signer("ES256", "spare-key")
"""A second key of the issuer ``ES384``, so that a header there must name one."""


def trusted_party(name: str, now: int) -> Party:
    key = signer(name.removesuffix("-2"), f"{name.lower()}-key")
    return Party(f"https://{name.lower()}.example", AUDIENCE, "at+jwt", key, now)


def own_party(auth: Auth, clock: Clock, typ: str = "at+jwt") -> Party:
    key = Signer(auth.tokens.keyring.signing.kid, "HS256", auth.settings.token_keys[0])
    return Party("callcov", "callcov", typ, key, int(clock()))


def as_setting(party: Party, *more: Signer) -> dict[str, Any]:
    keys = [key.jwk() for key in (party.signer, *more)]
    algorithms = sorted({key["alg"] for key in keys})
    return {
        "issuer": party.issuer,
        "audience": party.audience,
        "jwks": {"keys": keys},
        "algorithms": algorithms,
    }


@asynccontextmanager
async def open_world(clock: Clock, **settings: Any) -> AsyncIterator[World]:
    others = {name: trusted_party(name, int(clock())) for name in TRUSTED}
    trusted = [
        as_setting(party, *((SPARE_KEY,) if name == "ES384" else ())) for name, party in others.items()
    ]
    async with Auth(make_settings(trusted_issuers=trusted, **settings), clock=clock) as auth:
        yield World(auth, clock, own_party(auth, clock), others)


def _changed(right: dict[str, Any], changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in (right | changes).items() if value is not ABSENT}
