"""What a token must be before its signature is looked at."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcov_auth.errors import InvalidToken
from callcov_auth.tokens.guards import take_apart
from tests.support.examples import full_run
from tests.support.tokens import as_json, base64url

HEADER = base64url(b'{"alg":"HS256"}')
CLAIMS = base64url(b'{"sub":"a"}')
TWICE = base64url(b'{"sub":"a","sub":"b"}')
SIGNATURE = base64url(bytes(32))


def test_a_token_in_parts() -> None:
    token = take_apart(f"{HEADER}.{CLAIMS}.{SIGNATURE}")
    assert token.header == {"alg": "HS256"}
    assert token.claims() == {"sub": "a"}
    assert token.signed == f"{HEADER}.{CLAIMS}".encode()
    assert token.signature == bytes(32)


def test_nothing_of_a_token_but_its_header_stands_in_the_repr() -> None:
    token = take_apart(f"{HEADER}.{CLAIMS}.{SIGNATURE}")
    assert "sub" not in repr(token)
    assert SIGNATURE not in repr(token)


@pytest.mark.parametrize(
    ("token", "reason"),
    [
        ("", "not_three_parts"),
        (f"{HEADER}.{CLAIMS}", "not_three_parts"),
        (f"{HEADER}.{CLAIMS}.{SIGNATURE}.x", "not_three_parts"),
        (f".{CLAIMS}.{SIGNATURE}", "not_json"),
        (f"{HEADER}.{CLAIMS}.{SIGNATURE}=", "not_base64url"),
        (f"{HEADER}.{CLAIMS}.+/{SIGNATURE[2:]}", "not_base64url"),
        (f"{HEADER}.{CLAIMS}.{SIGNATURE}\n", "not_base64url"),
        (f" {HEADER}.{CLAIMS}.{SIGNATURE}", "not_base64url"),
        (f"{HEADER}.{CLAIMS}.é", "not_base64url"),
        (f"{HEADER}.{CLAIMS}.AAAAA", "not_canonical_base64url"),
        (f"{HEADER}.{CLAIMS}.AB", "not_canonical_base64url"),
        (f"{HEADER}.{CLAIMS}.AAB", "not_canonical_base64url"),
        (f"{base64url(b'[]')}.{CLAIMS}.{SIGNATURE}", "not_a_json_object"),
        (f"{base64url(b'foo')}.{CLAIMS}.{SIGNATURE}", "not_json"),
        (f"{TWICE}.{CLAIMS}.{SIGNATURE}", "duplicate_name"),
    ],
)
def test_what_is_no_compact_jws(token: str, reason: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        take_apart(token)
    assert caught.value.reason == f"token_{reason}"
    assert caught.value.message == "The token is not valid"


@pytest.mark.parametrize(
    ("payload", "reason"),
    [
        ("", "not_json"),
        (base64url(b"foo"), "not_json"),
        (base64url(b"[]"), "not_a_json_object"),
        (TWICE, "duplicate_name"),
    ],
)
def test_what_is_no_set_of_claims(payload: str, reason: str) -> None:
    token = take_apart(f"{HEADER}.{payload}.{SIGNATURE}")
    with pytest.raises(InvalidToken) as caught:
        token.claims()
    assert caught.value.reason == f"token_{reason}"


@pytest.mark.parametrize("name", ["crit", "b64", "zip", "cty"])
def test_headers_that_change_what_is_signed_are_refused(name: str) -> None:
    header = base64url(as_json({"alg": "HS256", name: []}))
    with pytest.raises(InvalidToken) as caught:
        take_apart(f"{header}.{CLAIMS}.{SIGNATURE}")
    assert caught.value.reason == f"token_header_{name}"


@pytest.mark.parametrize("signature", ["AA", "AAA", "AAAA", "_w", "__8"])
def test_canonical_ends_are_taken(signature: str) -> None:
    assert base64url(take_apart(f"{HEADER}.{CLAIMS}.{signature}").signature) == signature


@full_run(5_000)
@given(st.one_of(st.text(max_size=120), st.text("eyJ.AQgw-_=+/ {}", max_size=120)))
def test_taking_apart_never_raises_anything_but_a_refusal(text: str) -> None:
    try:
        token = take_apart(text)
    except InvalidToken as refusal:
        assert refusal.reason.startswith("token_")
    else:
        assert text.startswith(token.signed.decode())
