"""What each of three libraries says of a token: None where it takes it, else why not."""

import warnings
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, tzinfo
from typing import Any, Self
from unittest.mock import patch

import jwt
from joserfc import jwt as jose
from joserfc.jwk import KeySet as JoseKeySet

from benchmarks.bearers import AUDIENCE, ISSUER, Signer, run, verifier
from benchmarks.differential.values import NOW
from callcov_auth.errors import AuthError

Verdict = Exception | None
Judge = Callable[[str], Verdict]

REQUIRED = ("iss", "sub", "aud", "exp")


def judges(signers: Mapping[str, Signer]) -> dict[str, Judge]:
    """Return the three, each with the same keys, issuer, audience, required claims and clock."""
    takers = {"ours": _ours(signers), "joserfc": _joserfc(signers), "pyjwt": _pyjwt(signers)}
    return {name: _verdict_of(taker) for name, taker in takers.items()}


def is_stray(verdict: Verdict) -> bool:
    """Whether what came out of our side is no refusal."""
    return verdict is not None and not isinstance(verdict, AuthError)


def _verdict_of(take: Callable[[str], object]) -> Judge:
    def judge(token: str) -> Verdict:
        try:
            take(token)
        except Exception as refusal:  # any exception of a library counts as its refusal
            return refusal
        return None

    return judge


def _ours(signers: Mapping[str, Signer]) -> Callable[[str], object]:
    verify = verifier([signer.jwk for signer in signers.values()], lambda: NOW).verify
    return lambda token: run(verify(token))


def _joserfc(signers: Mapping[str, Signer]) -> Callable[[str], object]:
    keys = JoseKeySet.import_key_set({"keys": [dict(signer.jwk) for signer in signers.values()]})
    claims = jose.JWTClaimsRegistry(
        now=NOW,
        iss={"essential": True, "value": ISSUER},
        aud={"essential": True, "value": AUDIENCE},
        sub={"essential": True},
        exp={"essential": True},
    )

    def take(token: str) -> None:
        with warnings.catch_warnings():
            # It advises against EdDSA, which is not the question.
            warnings.simplefilter("ignore")
            claims.validate(jose.decode(token, keys, algorithms=list(signers)).claims)

    return take


def _pyjwt(signers: Mapping[str, Signer]) -> Callable[[str], object]:
    keys = {signer.kid: jwt.PyJWK(dict(signer.jwk)) for signer in signers.values()}

    def take(token: str) -> Any:
        key = keys[jwt.get_unverified_header(token)["kid"]]
        with patch("jwt.api_jwt.datetime", _StandingStill):
            return jwt.decode(
                token, key, audience=AUDIENCE, issuer=ISSUER, options={"require": list(REQUIRED)}
            )

    return take


class _StandingStill(datetime):
    """PyJWT takes no clock."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(NOW, tz or UTC)
