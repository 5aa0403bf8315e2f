"""JWK sets: what spoils a whole set, and what one key alone; and whatever else may come."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcov_auth.setting_types import ASYMMETRIC
from callcov_auth.tokens.algorithms import ALGORITHMS
from callcov_auth.tokens.jwk import BadKey, KeySet, load_key_set
from tests.support.examples import full_run
from tests.support.issuers import ABSENT, signer
from tests.support.jwks import Jwk, number, odd, rsa_jwk
from tests.support.tokens import base64url


def load_set(*jwks: Any) -> KeySet:
    keys, refused = load_key_set({"keys": list(jwks)}, algorithms=ALGORITHMS, inline=True)
    assert refused == []
    return keys


def test_a_header_finds_a_key_by_name() -> None:
    keys = load_set(signer("ES256", "a").jwk(), signer("ES256", "b").jwk(), signer("RS256", "c").jwk())
    assert [keys.find(kid).alg for kid in ("a", "b", "c")] == ["ES256", "ES256", "RS256"]
    assert keys.find("a") is not keys.find("b")
    for kid in ("d", "", None, 1, ["a"], {"a": 1}, True):
        assert keys.find(kid) is None


def test_a_header_without_a_name_means_the_only_key() -> None:
    for kid in ("a", None):
        keys = load_set(signer("ES256", "a").jwk(kid=kid))
        assert keys.find(None) is keys.keys[0]
    assert load_set().find(None) is None
    unnamed = load_set(signer("ES256", "a").jwk(kid=None), signer("ES256", "b").jwk(kid=None))
    assert unnamed.find(None) is None


def test_a_name_never_means_a_key_without_one() -> None:
    assert load_set(signer("ES256", "a").jwk(kid=None)).find("a") is None


@pytest.mark.parametrize("document", [None, [], {}, "keys", {"keys": None}, {"keys": {}}, {"keys": "[]"}])
def test_what_is_no_set_is_refused(document: object) -> None:
    with pytest.raises(BadKey, match="a key set is an object with a list of at most 100 'keys'"):
        load_key_set(document, algorithms=ALGORITHMS, inline=True)


def test_a_set_holds_at_most_a_hundred_keys() -> None:
    jwks = [rsa_jwk(odd(2048, seed), kid=f"k{seed}") for seed in range(101)]
    assert len(load_set(*jwks[:100]).keys) == 100
    with pytest.raises(BadKey, match="at most 100 'keys'"):
        load_set(*jwks)


def test_keys_that_cannot_be_used_are_passed_over_with_the_reason() -> None:
    good = signer("ES256", "good").jwk()
    keys, refused = load_key_set(
        {"keys": [{"kty": "DSA", "kid": "old"}, good, signer("RS256", "enc").jwk(use="enc"), 5]},
        algorithms=ASYMMETRIC,
        inline=False,
    )
    assert [key.kid for key in keys.keys] == ["good"]
    assert refused == [
        "key 'old': it names no 'alg', and there is not exactly one that fits it: narrow 'algorithms'",
        "key 'enc': its 'use' is not 'sig'",
        "a key is a JSON object",
    ]


@pytest.mark.parametrize(
    "second",
    [
        signer("ES256", "b").jwk(kid="a"),
        signer("RS256", "b").jwk(kid="a"),
        signer("ES256", "b").jwk(kid="a", use="enc"),
        signer("ES256", "a").jwk(),
        {"kty": "DSA", "kid": "a"},
        {"kid": "a"},
    ],
    ids=["equal in kind", "of another kind", "for something else", "the same", "unknown", "empty"],
)
def test_two_keys_of_one_name_spoil_the_set_whether_both_can_be_used_or_not(second: Jwk) -> None:
    for jwks in ([signer("ES256", "a").jwk(), second], [second, signer("ES256", "a").jwk()]):
        with pytest.raises(BadKey, match=r"^two keys have one 'kid'$"):
            load_set(*jwks)


def test_one_key_for_two_algorithms_spoils_the_set() -> None:
    made = signer("RS256", "a")
    for alg in ("RS256", "PS256", "RS512"):
        with pytest.raises(BadKey, match="one key is there twice: a key serves one algorithm"):
            load_set(made.jwk(), made.jwk(kid="b", alg=alg))


def test_zeros_before_a_number_do_not_hide_that_a_key_is_there_twice() -> None:
    modulus = odd(2048)
    for hidden in ({"n": base64url(b"\x00" + modulus.to_bytes(256))}, {"e": "AAEAAQ"}):
        with pytest.raises(BadKey, match="one key is there twice"):
            load_set(rsa_jwk(modulus), rsa_jwk(modulus, kid="k2", alg="PS256", **hidden))


def test_one_secret_for_two_algorithms_spoils_the_set() -> None:
    jwk = signer("HS512", "a").jwk()
    with pytest.raises(BadKey, match="one key is there twice"):
        load_set(jwk, jwk | {"kid": "b", "alg": "HS256"})


def test_secret_and_public_keys_do_not_mix() -> None:
    with pytest.raises(BadKey, match=r"^secret and public keys are mixed$"):
        load_set(signer("HS256", "a").jwk(), signer("ES256", "b").jwk())


def test_secret_keys_that_were_fetched_are_passed_over_beside_public_ones() -> None:
    keys, refused = load_key_set(
        {"keys": [signer("HS256", "a").jwk(), signer("ES256", "b").jwk()]},
        algorithms=ALGORITHMS,
        inline=False,
    )
    assert [key.kid for key in keys.keys] == ["b"]
    assert refused == ["key 'a': a secret key that was fetched is known to others"]


# Whatever comes


SCALARS = (
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False)
    | st.text(max_size=12)
    | st.sampled_from(
        ["sig", "RSA", "EC", "OKP", "oct", "P-256", "Ed25519", "Ed448", "RS256", "ES256", "EdDSA"]
    )
    | st.binary(max_size=70).map(base64url)
    | st.integers(2000, 2100).map(lambda bits: number(odd(bits)))
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
NAMES = st.sampled_from(["kty", "kid", "alg", "use", "key_ops", "crv", "n", "e", "x", "y", "k", "d", "x5c"])
NEAR_KEYS = st.builds(
    lambda made, changes: made.jwk(**changes),
    st.sampled_from(
        [signer(name, "k1") for name in ("HS256", "RS256", "ES256", "ES512", "Ed25519", "Ed448")]
    ),
    st.dictionaries(NAMES, JSON | st.just(ABSENT), max_size=2),
)
KEYS = NEAR_KEYS | st.dictionaries(NAMES, JSON, max_size=8) | JSON


@full_run(300)
@given(
    st.fixed_dictionaries({"keys": st.lists(KEYS, max_size=3)}) | JSON,
    st.sets(st.sampled_from(sorted(ALGORITHMS)), min_size=1),
    st.booleans(),
)
def test_whatever_comes_becomes_sound_keys_or_is_refused(
    document: Any, algorithms: set[str], inline: bool
) -> None:
    try:
        keys, refused = load_key_set(document, algorithms=algorithms, inline=inline)
    except BadKey:
        return
    assert len(keys.keys) + len(refused) == len(document["keys"])
    for key in keys.keys:
        assert key.alg in algorithms
        assert not key.verifies(b"message", b"signature")


@full_run(300)
@given(st.sampled_from(sorted({*ALGORITHMS, "Ed25519", "Ed448"} - {"EdDSA"})), st.binary(max_size=600))
def test_whatever_is_no_signature_is_just_that(name: str, signature: bytes) -> None:
    (key,) = load_set(signer(name, "k1").jwk()).keys
    assert not key.verifies(b"message", signature)
