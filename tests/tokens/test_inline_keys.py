"""Key sets that stand in the settings: a start tells what is wrong with them."""

import secrets
from typing import Any

import pytest

from callcov_auth.settings import SettingsError
from callcov_auth.tokens.trusted import load_issuers
from tests.support.issuers import signer
from tests.support.settings import make_settings
from tests.support.tokens import base64url

NAME = "https://a.example"


def secret_jwk(secret: bytes, kid: str = "k1") -> dict[str, Any]:
    return {"kty": "oct", "k": base64url(secret), "alg": "HS256", "kid": kid}


def problem_of(*jwks: dict[str, Any]) -> str:
    setting = {
        "issuer": NAME,
        "audience": "a",
        "jwks": {"keys": list(jwks)},
        "algorithms": ["HS256", "ES256"],
    }
    with pytest.raises(SettingsError) as caught:
        load_issuers(make_settings(trusted_issuers=[setting]), lambda: 0.0)
    return str(caught.value).removeprefix(f"CALLCOV_AUTH_TRUSTED_ISSUERS: {NAME}: ")


@pytest.mark.parametrize(
    ("secret", "problem"),
    [
        (b"please-change-me-before-you-go-live", "key 'k1': it reads like a placeholder"),
        (b"a" * 40, "key 'k1': it repeats itself too much"),
        (bytes(32), "key 'k1': it repeats itself too much"),
    ],
)
def test_a_secret_that_anybody_guesses_stops_the_start(secret: bytes, problem: str) -> None:
    assert problem_of(secret_jwk(secret)) == problem
    assert secret.decode() not in problem


def test_a_random_secret_does_not() -> None:
    jwks = {"keys": [secret_jwk(secrets.token_bytes(32)), secret_jwk(secrets.token_bytes(64), "k2")]}
    setting = {"issuer": NAME, "audience": "a", "jwks": jwks, "algorithms": ["HS256"]}
    [(*_, issuer), remote] = load_issuers(make_settings(trusted_issuers=[setting]), lambda: 0.0)
    assert issuer.rules.issuer == NAME
    assert remote == []


def test_an_empty_set_stops_the_start() -> None:
    assert problem_of() == "its key set is empty"


def test_each_key_that_cannot_be_used_is_named() -> None:
    first, second = (signer("ES256", name).jwk(use="enc") for name in "ab")
    assert problem_of(first, second) == "key 'a': its 'use' is not 'sig'; key 'b': its 'use' is not 'sig'"
