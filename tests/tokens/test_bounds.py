"""How much of a token is read at all, told by counting."""

import pytest

from callcov_auth.errors import InvalidToken
from callcov_auth.strict_json import _STRINGS, NotStrictJson, read_object
from callcov_auth.tokens.guards import MAX_TOKEN_LENGTH, take_apart
from tests.support.tokens import base64url

HEADER = base64url(b'{"alg":"HS256"}')


def token_of(length: int) -> str:
    """A well-formed token: its payload is filled up, and its signature has four characters."""
    room = length - len(HEADER) - len("..AAAA")
    payload = base64url(b'{"a":"' + b"x" * (room * 3 // 4 - 8) + b'"}')
    return f"{HEADER}.{payload}.".ljust(length, "A")


def test_a_token_of_8_kib_is_read() -> None:
    assert len(take_apart(token_of(MAX_TOKEN_LENGTH)).claims()["a"]) > 6000
    assert MAX_TOKEN_LENGTH == 8192


@pytest.mark.parametrize("text", [token_of(MAX_TOKEN_LENGTH + 1), "." * (MAX_TOKEN_LENGTH + 1)])
def test_a_longer_one_is_refused_unread(text: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        take_apart(text)
    assert caught.value.reason == "token_too_long"


@pytest.mark.parametrize("escapes", ['\\"' * 3000, '\\"' * 3000 + "\\", "\\" * 3001, "x" * 6000])
def test_a_string_without_an_end_is_passed_over_once(escapes: str) -> None:
    """From each of its quotes anew, it would be read 3,000 times."""
    raw = f'"{escapes}'.encode()
    assert _STRINGS.findall(raw) == [raw]


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b'{"a":' + b"[" * 17 + b'"' + b'\\"' * 3000, "json_too_deep"),
        (b'{"a":[' + b"{}," * 20 + b'"' + b'\\"' * 3000, "json_too_deep"),
        (b'{"a":[' + b"{}," * 20 + b'"\\"]}"]}]', "not_json"),
        (b'{"a":[' + b"[]," * 20 + b'"]"]]}', "not_json"),
        (b'{"a":' + b"[{" * 9 + b"}]" * 9 + b"}", "json_too_deep"),
        (b'{"a":[' + b"[}," * 20 + b"1]}", "not_json"),
    ],
)
def test_brackets_outside_strings_are_what_counts(raw: bytes, reason: str) -> None:
    with pytest.raises(NotStrictJson) as caught:
        read_object(raw)
    assert str(caught.value) == reason


def test_depth_is_counted_where_brackets_are_many() -> None:
    flat = b'{"a":[' + b'["]","[[["],' * 30 + b"1]}"
    assert len(read_object(flat)["a"]) == 31
    deep = b'{"a":' + b'[{"a":' * 7 + b"[]" + b"}]" * 7 + b"}"
    assert "a" in read_object(deep[:-1] + b',"b":' + b"[" * 15 + b"]" * 15 + b"}")
