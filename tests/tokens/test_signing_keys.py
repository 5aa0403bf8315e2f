"""A key by itself: what a private JWK may say of its use, and a backend that fails."""

import json
from typing import Any

import pytest

from callcov_auth.tokens.jwk import BadKey, VerifyingKey
from callcov_auth.tokens.keyring import load_signing_key
from tests.support.issuers import signer

KINDS = pytest.mark.parametrize("name", ["HS256", "RS256", "ES384", "Ed25519"])
ALLOWED = (["sign"], ["sign", "verify"], ["verify", "sign"])
REFUSED = ([], ["verify"], ["sign", "sign"], ["sign", "encrypt"], ["SIGN"], "sign", None, [["sign"]])


def text_of(name: str, **changes: Any) -> str:
    return json.dumps(signer(name, "k1").private_jwk(**changes))


@KINDS
@pytest.mark.parametrize("operations", ALLOWED, ids=str)
def test_a_key_for_signing_signs(name: str, operations: list[str]) -> None:
    key = load_signing_key(text_of(name, key_ops=operations))
    signed, _, signature = key.sign("at+jwt", {"sub": "a"}).rpartition(".")
    assert signature
    assert key.verifying.alg == key.alg == signer(name, "k1").alg
    assert signed.count(".") == 1


@KINDS
@pytest.mark.parametrize("operations", REFUSED, ids=str)
def test_a_key_for_something_else_does_not(name: str, operations: object) -> None:
    with pytest.raises(BadKey) as caught:
        load_signing_key(text_of(name, key_ops=operations))
    assert str(caught.value) == "key 'k1': its 'key_ops' is not 'sign', alone or beside 'verify'"


@pytest.mark.parametrize("changes", [{"kid": 1}, {"kid": None}, {"alg": 1}, {"alg": "none"}, {"alg": "RS1"}])
def test_a_key_without_a_name_or_an_algorithm_is_none(changes: dict[str, Any]) -> None:
    with pytest.raises(BadKey) as caught:
        load_signing_key(text_of("RS256", **changes))
    assert str(caught.value) == "a signing key names its 'kid', and its 'alg' as one that is known here"


@pytest.mark.parametrize("alg", ["RS256", "ES256", "EdDSA"])
def test_a_signature_on_which_the_backend_fails_is_wrong(alg: str) -> None:
    class Broken:
        curve = signer("ES256", "k1").public.curve

        def verify(self, *_args: object) -> None:
            raise ValueError("the backend cannot read it")

    assert VerifyingKey("k1", alg, Broken()).verifies(b"signed", bytes(64)) is False
