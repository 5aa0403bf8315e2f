"""Our own signing keys, by ``kid``: one signs, every one verifies until it is retired.

A key serves one algorithm, and the token has no say in which.
"""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import jwt

from callcov_auth.base64url import encode
from callcov_auth.settings import AuthSettings
from callcov_auth.strict_json import NotStrictJson, read_object
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.jwk import BadKey, VerifyingKey, load_key
from callcov_auth.weak_secrets import weakness

# For how long others may keep our key set, in seconds; a new key is shown for longer before it signs.
KEY_SET_MAX_AGE = 300

# What a public key consists of; whatever else stands in a private JWK is nobody's business.
_SHOWN = ("kty", "crv", "n", "e", "x", "y", "kid", "alg", "use")


@dataclass(frozen=True, slots=True)
class SigningKey:
    """``key`` is as PyJWT signs with it. ``public`` is what the key set shows; None for a secret one."""

    kid: str
    alg: str
    key: Any = field(repr=False)
    verifying: VerifyingKey = field(repr=False)
    public: Mapping[str, Any] | None = None

    def sign(self, typ: str, claims: Mapping[str, Any]) -> str:
        """Return a compact JWS with ``{alg, kid, typ}`` for a header: RFC 7515 §7.1."""
        # PyJWT signs, but does not put it together, which takes it four times as long as all of this.
        signed = f"{_header(self.alg, self.kid, typ)}.{encode(_json(claims))}"
        signature = jwt.get_algorithm_by_name(self.alg).sign(signed.encode("ascii"), self.key)
        return f"{signed}.{encode(signature)}"


# A process has few keys, and each signs tokens of few types.
@lru_cache(maxsize=64)
def _header(alg: str, kid: str, typ: str) -> str:
    return encode(_json({"alg": alg, "kid": kid, "typ": typ}))


# json.dumps makes an encoder at each call that names separators.
_encoder = json.JSONEncoder(separators=(",", ":"))


def _json(value: Mapping[str, Any]) -> bytes:
    return _encoder.encode(value).encode("ascii")


@dataclass(frozen=True, slots=True)
class TimedKey:
    """A key with its times, in Unix seconds; None for one whose end is not settled."""

    key: SigningKey
    signs_from: float
    retires_at: float | None

    def verifies(self, now: float) -> bool:
        return self.retires_at is None or now < self.retires_at

    def signs(self, now: float) -> bool:
        return self.signs_from <= now and self.verifies(now)


class Keyring:
    """The fixed keys are those of the settings; the timed ones come and go, and go before them.

    Of the timed keys whose time has come the newest signs; where there is none, the first fixed one does.
    """

    def __init__(self, fixed: Sequence[SigningKey], clock: Callable[[], float]) -> None:
        self.fixed = tuple(fixed)
        self._fixed = {key.kid: key for key in fixed}
        self._timed: Mapping[str, TimedKey] = {}
        self._clock = clock

    @property
    def signing(self) -> SigningKey:
        now = self._clock()
        started = [timed.key for timed in self._timed.values() if timed.signs(now)]
        return started[-1] if started else self.fixed[0]

    @property
    def timed(self) -> Sequence[TimedKey]:
        """Those that verify now, the newest last."""
        now = self._clock()
        return [timed for timed in self._timed.values() if timed.verifies(now)]

    def take(self, timed: Sequence[TimedKey]) -> None:
        """Put ``timed``, the newest last, in the place of the timed keys there were."""
        self._timed = {each.key.kid: each for each in timed}

    def find(self, kid: object) -> VerifyingKey | None:
        if not isinstance(kid, str):
            return None
        timed = self._timed.get(kid)
        if timed is not None:
            return timed.key.verifying if timed.verifies(self._clock()) else None
        key = self._fixed.get(kid)
        return None if key is None else key.verifying

    def public_set(self) -> dict[str, Any]:
        """Return the JWK set of the asymmetric keys (RFC 7517 §5), those that sign later among them."""
        keys = [*self.fixed, *(timed.key for timed in self.timed)]
        return {"keys": [dict(key.public) for key in keys if key.public is not None]}


def load_keyring(settings: AuthSettings, clock: Callable[[], float]) -> Keyring | None:
    """Return our keys: those of ``signing_keys``, else the one that ``secret`` gives; then the older ones.

    None for a resource server, which signs nothing. Raises BadKey.
    """
    if settings.is_resource_server:
        return None
    named = [load_signing_key(text.get_secret_value()) for text in settings.signing_keys]
    _check_names(named)
    derived = [hs256_key(key) for key in settings.token_keys]
    return Keyring([*named, *derived], clock)


def hs256_key(key: bytes) -> SigningKey:
    """Return an HS256 key; its ``kid`` is a fingerprint that tells nothing of it."""
    kid = hashlib.blake2b(b"kid", key=key, digest_size=8).hexdigest()
    return SigningKey(kid, "HS256", key, VerifyingKey(kid, "HS256", key))


def load_signing_key(text: str) -> SigningKey:
    """Return the key in a private JWK, which names its ``kid`` and its ``alg``. Raises BadKey."""
    jwk = _read(text)
    kid, alg = jwk.get("kid"), jwk.get("alg")
    if not isinstance(kid, str) or not isinstance(alg, str) or alg not in ALGORITHMS:
        raise BadKey("a signing key names its 'kid', and its 'alg' as one that is known here")
    if jwk.get("key_ops", ["sign"]) not in (["sign"], ["sign", "verify"], ["verify", "sign"]):
        raise BadKey(f"key {kid!r}: its 'key_ops' is not 'sign', alone or beside 'verify'")
    shown = {name: jwk[name] for name in _SHOWN if name in jwk}
    if jwk.get("kty") == "oct":
        return _secret(kid, alg, shown | {"k": jwk.get("k")})
    verifying = load_key(shown, algorithms=(alg,), inline=True)
    if "d" not in jwk:
        raise BadKey(f"key {kid!r}: it has no private part, so it cannot sign")
    return SigningKey(kid, alg, _private(kid, alg, jwk), verifying, shown | {"use": "sig"})


def _read(text: str) -> dict[str, Any]:
    try:
        return read_object(text.encode())
    except (NotStrictJson, UnicodeEncodeError):
        raise BadKey("a signing key is a private JWK, as a JSON object") from None


def _secret(kid: str, alg: str, jwk: dict[str, Any]) -> SigningKey:
    verifying = load_key(jwk, algorithms=(alg,), inline=True)
    problem = weakness(verifying.key.decode("latin-1"))
    if problem is not None:
        raise BadKey(f"key {kid!r}: {problem}")
    try:
        jwt.encode({}, verifying.key, alg)
    except jwt.PyJWTError:
        # PyJWT signs with no secret that looks like a PEM file or a JWK; better heard now than at a login.
        raise BadKey(f"key {kid!r}: it looks like a key of another kind") from None
    return SigningKey(kid, alg, verifying.key, verifying)


def _private(kid: str, alg: str, jwk: dict[str, Any]) -> Any:
    try:
        return jwt.PyJWK(jwk, alg).key
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        # 'from None', for a library's text may quote the key.
        raise BadKey(f"key {kid!r}: its private part makes no key") from None


def _check_names(keys: Sequence[SigningKey]) -> None:
    if len({key.kid for key in keys}) != len(keys):
        raise BadKey("two signing keys have one 'kid'")
    if len({key.verifying.material for key in keys}) != len(keys):
        raise BadKey("one signing key is there twice: a key serves one algorithm (RFC 8725 §3.1)")
