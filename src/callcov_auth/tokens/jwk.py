"""JWK → a key that verifies (RFC 7517, RFC 7518 §6, RFC 8037), refused with the reason if it is weak.

A key serves exactly one algorithm: the one it names, or the only one that fits it.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from cryptography.exceptions import UnsupportedAlgorithm
from jwt import PyJWS
from jwt.exceptions import PyJWTError

from callcov_auth import base64url
from callcov_auth.tokens.algorithms import ALGORITHMS, MAX_RSA_BITS, MIN_RSA_BITS, Algorithm
from callcov_auth.tokens.roca import has_roca_fingerprint
from callcov_auth.tokens.small_order import has_small_order

MAX_KEYS = 100
MAX_KID_LENGTH = 255
# RFC 7518 §6.2.2, §6.3.2, RFC 8037 §2: a member that only a private key has.
PRIVATE_MEMBERS = frozenset({"d", "p", "q", "dp", "dq", "qi", "oth"})
# What each type of key consists of, in public.
_PUBLIC_MEMBERS: Mapping[str, tuple[str, ...]] = {
    "RSA": ("n", "e"),
    "EC": ("x", "y"),
    "OKP": ("x",),
    "oct": ("k",),
}

_JWS = PyJWS()


class BadKey(ValueError):
    """A key cannot be used. The text says why and holds nothing of the key but its ``kid``."""


@dataclass(frozen=True, slots=True)
class VerifyingKey:
    """A key, and the one algorithm it serves. ``material`` tells equal keys apart from different ones."""

    kid: str | None
    alg: str
    key: Any = field(repr=False)
    material: tuple[Any, ...] = field(repr=False, default=())

    def verifies(self, signed: bytes, signature: bytes) -> bool:
        """Whether ``signature`` is this key's over ``signed``."""
        try:
            return _JWS.get_algorithm_by_name(self.alg).verify(signed, self.key, signature)
        except (ValueError, PyJWTError):
            # What a backend cannot even read is no signature.
            return False


class KeySet:
    """An issuer's keys. ``find`` takes the one that a header means, if exactly one can be meant."""

    def __init__(self, keys: Sequence[VerifyingKey] = ()) -> None:
        self.keys = tuple(keys)
        self._by_kid = {key.kid: key for key in self.keys if key.kid is not None}

    def find(self, kid: object) -> VerifyingKey | None:
        """Return the key named ``kid``; where a header names none, the only key that there is."""
        if kid is None:
            return self.keys[0] if len(self.keys) == 1 else None
        return self._by_kid.get(kid) if isinstance(kid, str) else None


def load_key_set(document: Any, *, algorithms: Collection[str], inline: bool) -> tuple[KeySet, list[str]]:
    """Return the keys of a JWK set that can be used, and of the others why not.

    Only what is said here may be in doubt with one key: a set that is malformed as a whole, that names one
    ``kid`` twice, uses one key for two algorithms, or mixes secret and public keys raises BadKey.
    ``inline`` says that the set stands in the settings: only there may it hold an ``oct`` key.
    """
    listed = document.get("keys") if isinstance(document, Mapping) else None
    if not isinstance(listed, list) or len(listed) > MAX_KEYS:
        raise BadKey(f"a key set is an object with a list of at most {MAX_KEYS} 'keys' (RFC 7517 §5)")
    _check_names(listed)
    keys: list[VerifyingKey] = []
    refused: list[str] = []
    for jwk in listed:
        try:
            keys.append(load_key(jwk, algorithms=algorithms, inline=inline))
        except BadKey as error:
            refused.append(str(error))
    _check_together(keys)
    return KeySet(keys), refused


def load_key(jwk: Any, *, algorithms: Collection[str], inline: bool) -> VerifyingKey:
    """Return one key, for verifying. Raises BadKey."""
    if not isinstance(jwk, Mapping):
        raise BadKey("a key is a JSON object")
    kid = _kid(jwk)
    try:
        _check_purpose(jwk)
        algorithm = _algorithm(jwk, algorithms)
        _check_origin(jwk, inline)
        members = {name: _member(jwk, name) for name in _PUBLIC_MEMBERS[algorithm.kty]}
        _check_strength(algorithm, members)
        key = _built(algorithm, jwk)
    except BadKey as error:
        raise BadKey(f"key {kid!r}: {error}") from None
    return VerifyingKey(kid, algorithm.name, key, _material(algorithm, members))


def _kid(jwk: Mapping[str, Any]) -> str | None:
    kid = jwk.get("kid")
    if kid is None:
        return None
    if not isinstance(kid, str) or not 0 < len(kid) <= MAX_KID_LENGTH or not kid.isprintable():
        raise BadKey(f"'kid' is a printable string of at most {MAX_KID_LENGTH} characters")
    return kid


def _check_purpose(jwk: Mapping[str, Any]) -> None:
    """RFC 7517 §4.2 and §4.3."""
    if jwk.get("use", "sig") != "sig":
        raise BadKey("its 'use' is not 'sig'")
    operations = jwk.get("key_ops", ["verify"])
    if not isinstance(operations, list) or "verify" not in operations:
        raise BadKey("its 'key_ops' does not hold 'verify'")
    if not all(operation in ("verify", "sign") for operation in operations):
        raise BadKey("its 'key_ops' holds more than signing")
    if len(operations) != len(set(operations)):
        raise BadKey("its 'key_ops' says a thing twice")


def _algorithm(jwk: Mapping[str, Any], allowed: Collection[str]) -> Algorithm:
    named = jwk.get("alg")
    if named is not None:
        algorithm = ALGORITHMS.get(named) if isinstance(named, str) and named in allowed else None
        if algorithm is None or not _fits(algorithm, jwk):
            raise BadKey("its 'alg' is not allowed for it")
        return algorithm
    fitting = [
        algorithm for algorithm in ALGORITHMS.values() if algorithm.name in allowed and _fits(algorithm, jwk)
    ]
    if len(fitting) != 1:
        raise BadKey("it names no 'alg', and there is not exactly one that fits it: narrow 'algorithms'")
    return fitting[0]


def _fits(algorithm: Algorithm, jwk: Mapping[str, Any]) -> bool:
    curve = jwk.get("crv")
    return algorithm.kty == jwk.get("kty") and (
        not algorithm.curves or (isinstance(curve, str) and curve in algorithm.curves)
    )


def _check_origin(jwk: Mapping[str, Any], inline: bool) -> None:
    if jwk["kty"] == "oct" and not inline:
        raise BadKey("a secret key that was fetched is known to others")
    if PRIVATE_MEMBERS & jwk.keys():
        raise BadKey("it holds a private part, so whoever sent it can sign with it too")


def _member(jwk: Mapping[str, Any], name: str) -> bytes:
    value = jwk.get(name)
    if not isinstance(value, str) or not value:
        raise BadKey(f"its {name!r} is missing")
    try:
        return base64url.decode(value)
    except base64url.NotBase64url:
        raise BadKey(f"its {name!r} is not base64url") from None


def _check_strength(algorithm: Algorithm, members: Mapping[str, bytes]) -> None:
    if algorithm.kty == "oct" and len(members["k"]) < algorithm.min_bytes:
        raise BadKey(f"it is shorter than {algorithm.min_bytes} bytes (RFC 7518 §3.2)")
    if algorithm.kty == "OKP" and has_small_order(members["x"]):
        raise BadKey("its point is of small order, so that anybody can sign for it")
    if algorithm.kty == "RSA":
        _check_rsa(int.from_bytes(members["n"]), int.from_bytes(members["e"]))


def _check_rsa(modulus: int, exponent: int) -> None:
    if not MIN_RSA_BITS <= modulus.bit_length() <= MAX_RSA_BITS:
        raise BadKey(f"its modulus is not of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits (RFC 7518 §3.3)")
    if modulus % 2 == 0 or exponent % 2 == 0 or not 3 <= exponent < 2**64:
        raise BadKey("its modulus or its exponent is none of RSA")
    if has_roca_fingerprint(modulus):
        raise BadKey("its modulus can be factored (ROCA, CVE-2017-15361)")


def _material(algorithm: Algorithm, members: Mapping[str, bytes]) -> tuple[Any, ...]:
    """What equal keys have in common: of RSA the numbers, since some senders write zeros before them."""
    is_number = algorithm.kty == "RSA"
    return algorithm.kty, *(int.from_bytes(value) if is_number else value for value in members.values())


def _built(algorithm: Algorithm, jwk: Mapping[str, Any]) -> Any:
    try:
        return _JWS.get_algorithm_by_name(algorithm.name).from_jwk(dict(jwk))
    except (PyJWTError, UnsupportedAlgorithm, ValueError, TypeError, KeyError):
        # 'from None', for a library's text may quote the key.
        raise BadKey("its parts make no key") from None


def _check_names(listed: Sequence[Any]) -> None:
    """Of all keys, those that cannot be used among them: a name that means two keys means none."""
    kids = [jwk.get("kid") for jwk in listed if isinstance(jwk, Mapping)]
    named = [kid for kid in kids if isinstance(kid, str)]
    if len(named) != len(set(named)):
        raise BadKey("two keys have one 'kid'")


def _check_together(keys: Sequence[VerifyingKey]) -> None:
    if len({key.material for key in keys}) != len(keys):
        raise BadKey("one key is there twice: a key serves one algorithm (RFC 8725 §3.1)")
    if len({ALGORITHMS[key.alg].kty == "oct" for key in keys}) > 1:
        raise BadKey("secret and public keys are mixed")
