"""The Authorization value, by examples and by whatever Hypothesis finds."""

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from callcov_auth.credential import MAX_VALUE_BYTES, parse_authorization
from callcov_auth.errors import InvalidToken
from tests.support.examples import full_run

KEY = "sk_live_" + "a" * 48
JWT = "eyJh.eyJi.c2ln"


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (f"Bearer {KEY}", "api_key", KEY),
        (f"bearer {KEY}", "api_key", KEY),
        (f"BEARER {KEY}", "api_key", KEY),
        (f"bEaReR {KEY}", "api_key", KEY),
        (f"Bearer    {KEY}", "api_key", KEY),
        (f" \t Bearer {KEY} \t ", "api_key", KEY),
        (f"Bearer {JWT}", "token", JWT),
        ("Bearer sk_", "api_key", "sk_"),
        ("Bearer sk_a/b+c==", "api_key", "sk_a/b+c=="),
        ("Bearer a-_.b-_.c-_", "token", "a-_.b-_.c-_"),
    ],
)
def test_what_is_taken(value: str, kind: str, text: str) -> None:
    credential = parse_authorization(value.encode())
    assert (credential.kind, credential.text) == (kind, text)


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"", "header_malformed"),
        (b" \t", "header_malformed"),
        (b"Bearer", "header_malformed"),
        (b"Bearer ", "header_malformed"),
        (b"Bearer\t" + KEY.encode(), "unsupported_scheme"),
        (b"Bearer " + KEY.encode() + b" x", "header_malformed"),
        (b"Bearer " + KEY.encode() + b", Bearer " + KEY.encode(), "header_malformed"),
        (b"Bearer  \t " + KEY.encode(), "header_malformed"),
        (b"Bearer =", "header_malformed"),
        (b"Bearer a=b", "header_malformed"),
        (b'Bearer "abc"', "header_malformed"),
        (b"Bearer " + "sk_live_é".encode(), "header_malformed"),
        (b"Bearer sk_\x00", "header_malformed"),
        (b"Bearer sk_\n", "header_malformed"),
        (b"\x0bBearer sk_a", "unsupported_scheme"),
        (b"Basic dXNlcjpwYXNz", "unsupported_scheme"),
        (KEY.encode(), "unsupported_scheme"),
        (b"Bearer hello", "unknown_form"),
        (b"Bearer a.b", "unknown_form"),
        (b"Bearer a.b.c.d", "unknown_form"),
        (b"Bearer a..c", "unknown_form"),
        (b"Bearer a.b.", "unknown_form"),
        (b"Bearer a.b.c=", "unknown_form"),
        (b"Bearer a.b.c+", "unknown_form"),
        (b"Bearer SK_live_" + b"a" * 48, "unknown_form"),
        (b"Bearer " + b"a" * MAX_VALUE_BYTES, "header_too_long"),
    ],
)
def test_what_is_refused(value: bytes, reason: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        parse_authorization(value)
    assert caught.value.reason == reason


STARTS = ("sk_", "ak_v1-", "kg_", "ak.")
ANYTHING = ("sk_", "")


@pytest.mark.parametrize(
    ("text", "starts", "kind"),
    [
        ("ak_v1-0123-secret", STARTS, "api_key"),
        ("kg_0123_secret", STARTS, "api_key"),
        ("ak.0123.secret", STARTS, "api_key"),
        (KEY, STARTS, "api_key"),
        (JWT, STARTS, "token"),
        ("9f86d081884c", ANYTHING, "api_key"),
        ("a.b", ANYTHING, "api_key"),
        (KEY, ANYTHING, "api_key"),
        (JWT, ANYTHING, "token"),
    ],
)
def test_keys_of_other_programs_are_told_by_what_they_start_with(
    text: str, starts: tuple[str, ...], kind: str
) -> None:
    credential = parse_authorization(f"Bearer {text}".encode(), starts)
    assert (credential.kind, credential.text) == (kind, text)


@pytest.mark.parametrize("text", ["kg-0123", "ak_v1_0123", "9f86d081884c", "xkg_0123"])
def test_what_starts_otherwise_is_still_refused(text: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        parse_authorization(f"Bearer {text}".encode(), STARTS)
    assert caught.value.reason == "unknown_form"


def test_the_bound_is_on_the_whole_value() -> None:
    longest = b"Bearer sk_" + b"a" * (MAX_VALUE_BYTES - 10)
    assert len(parse_authorization(longest).text) == MAX_VALUE_BYTES - 7
    with pytest.raises(InvalidToken):
        parse_authorization(longest + b"a")


def test_the_text_stays_out_of_the_repr() -> None:
    assert KEY not in repr(parse_authorization(f"Bearer {KEY}".encode()))


near_misses = st.builds(
    lambda scheme, gap, text: scheme + gap + text,
    st.sampled_from([b"Bearer", b"bearer", b"Basic", b"", b" Bearer"]),
    st.sampled_from([b" ", b"  ", b"\t", b"", b" \t"]),
    st.one_of(
        st.binary(max_size=64),
        st.text("sk_live.aAzZ09-_~+/= ", max_size=64).map(lambda text: text.encode()),
    ),
)


@full_run(5_000)
@given(st.one_of(st.binary(max_size=200), near_misses))
@example(b"Bearer " + b"=" * 100)
def test_parsing_never_raises_anything_but_its_own_refusal(value: bytes) -> None:
    try:
        credential = parse_authorization(value)
    except InvalidToken as refusal:
        assert refusal.code == "invalid_token"
    else:
        assert credential.text.encode() in value
        assert credential.text.isascii()
        assert credential.text.isprintable()
