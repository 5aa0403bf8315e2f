"""What measurements of tokens share: keys of each kind, right claims, and the verifier without a cache."""

import json
import secrets
from base64 import urlsafe_b64encode
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key as generate_rsa_key
from jwt.algorithms import Algorithm, ECAlgorithm, HMACAlgorithm, OKPAlgorithm, RSAAlgorithm

from callcov_auth import AuthSettings
from callcov_auth.store.none import no_store
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.jwk import KeySet, load_key
from callcov_auth.tokens.trusted import InlineKeys
from callcov_auth.tokens.verifier import TokenVerifier

ISSUER, AUDIENCE = "https://issuer.example", "https://api.example"

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs, and the JWK by which others verify what it signed."""

    alg: str
    algorithm: Algorithm
    key: Any
    jwk: Mapping[str, Any]

    @property
    def kid(self) -> str:
        return f"kid-{self.alg}"

    def sign(self, message: bytes) -> bytes:
        return self.algorithm.sign(message, self.key)


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode("ascii").rstrip("=")


def signers() -> dict[str, Signer]:
    """Return a new key for each of HS256, RS256, ES256 and EdDSA."""
    made: list[tuple[str, Algorithm, Any]] = [
        ("HS256", HMACAlgorithm(HMACAlgorithm.SHA256), secrets.token_bytes(32)),
        ("RS256", RSAAlgorithm(RSAAlgorithm.SHA256), generate_rsa_key(65537, 2048)),
        ("ES256", ECAlgorithm(ECAlgorithm.SHA256, SECP256R1), generate_private_key(SECP256R1())),
        ("EdDSA", OKPAlgorithm(), Ed25519PrivateKey.generate()),
    ]
    return {alg: Signer(alg, algorithm, key, _jwk(alg, algorithm, key)) for alg, algorithm, key in made}


def _jwk(alg: str, algorithm: Algorithm, key: Any) -> dict[str, Any]:
    public = key if isinstance(key, bytes) else key.public_key()
    members = {"kid": f"kid-{alg}", "alg": alg, "use": "sig"}
    shown: dict[str, Any] = json.loads(algorithm.to_jwk(public))
    return {name: value for name, value in shown.items() if name != "key_ops"} | members


def right_claims(now: int) -> dict[str, Any]:
    return {
        "iss": ISSUER,
        "sub": "usr_1",
        "aud": AUDIENCE,
        "exp": now + 1800,
        "iat": now,
        "nbf": now,
        "jti": "u4PHRGbJRkStm7qGjZ0i3g",
        "scope": "calls:read calls:write",
        "sid": "ses_1f0c9b3d5e7a2468",
    }


def verifier(jwks: Sequence[Mapping[str, Any]], clock: Callable[[], float]) -> TokenVerifier:
    """Return what verifies access tokens of ISSUER under one of ``jwks``, and keeps nothing."""
    settings = AuthSettings(
        _env_file=None, secret=secrets.token_urlsafe(48), issuer=ISSUER, audience=AUDIENCE
    )
    keys = KeySet([load_key(jwk, algorithms=ALGORITHMS.keys(), inline=True) for jwk in jwks])
    return TokenVerifier(settings, no_store(), InlineKeys(keys), [], clock)


def run(work: Coroutine[Any, Any, T]) -> T:
    """Run what never waits, without an event loop and its cost."""
    try:
        work.send(None)
    except StopIteration as end:
        result: T = end.value
        return result
    raise RuntimeError("it waits for something")
