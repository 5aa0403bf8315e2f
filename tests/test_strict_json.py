"""RFC 7493: JSON from strangers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from callcov_auth.strict_json import MAX_DEPTH, NotStrictJson, read_object
from tests.support.examples import full_run


def nested(depth: int) -> bytes:
    return b'{"a":' + b"[" * (depth - 1) + b"]" * (depth - 1) + b"}"


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        (b"{}", {}),
        (b' {"a": [1, -2, 2.5, true, null, "x"]} ', {"a": [1, -2, 2.5, True, None, "x"]}),
        ('{"é": "\\ud83d\\ude00"}'.encode(), {"é": "😀"}),
        (b'{"a": "[[[[[[[[[[[[[[[[[[[[[[[[[[[["}', {"a": "[" * 28}),
        (b'{"a": "\\"[[[[[[[[[[[[[[[[[[[[\\\\"}', {"a": '"' + "[" * 20 + "\\"}),
        (b'{"a": [' + b"{}," * 40 + b"{}]}", {"a": [{}] * 41}),
        (b'{"a": 12345678901234567890123456789012}', {"a": 12345678901234567890123456789012}),
    ],
)
def test_what_is_read(raw: bytes, value: dict[str, object]) -> None:
    assert read_object(raw) == value


def test_depth_up_to_the_bound_is_read() -> None:
    assert "a" in read_object(nested(MAX_DEPTH))
    with pytest.raises(NotStrictJson, match="json_too_deep"):
        read_object(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize(
    ("raw", "reason"),
    [
        (b"", "not_json"),
        (b"{", "not_json"),
        (b"{} {}", "not_json"),
        (b"{'a': 1}", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": -Infinity}', "not_json"),
        (b'{"a": "\n"}', "not_json"),
        (b"\xef\xbb\xbf{}", "not_json"),
        (b'{"a": "\xff"}', "not_json"),
        ('{"a": 1}'.encode("utf-16"), "not_json"),
        (b"[]", "not_a_json_object"),
        (b"null", "not_a_json_object"),
        (b'"text"', "not_a_json_object"),
        (b'{"a": 1, "a": 1}', "duplicate_name"),
        (b'{"a": {"b": 1, "\\u0062": 2}}', "duplicate_name"),
        (b'{"a": 123456789012345678901234567890123}', "number_out_of_bounds"),
        (b'{"a": 1e999}', "number_out_of_bounds"),
        (b'{"a": -1e999}', "number_out_of_bounds"),
        (b'{"a": 0.12345678901234567890123456789012}', "number_out_of_bounds"),
        (b'{"a": "\\ud800"}', "not_unicode"),
        (b'{"\\udc00": 1}', "not_unicode"),
        (b"[" * 5000, "json_too_deep"),
        (b'{"a":' * 2000, "json_too_deep"),
    ],
)
def test_what_is_refused(raw: bytes, reason: str) -> None:
    with pytest.raises(NotStrictJson) as caught:
        read_object(raw)
    assert str(caught.value) == reason


@full_run(2_000)
@given(st.one_of(st.binary(max_size=200), st.text('{}[]",:\\u0d8 1.e-naN', max_size=80).map(str.encode)))
def test_reading_never_raises_anything_else(raw: bytes) -> None:
    try:
        assert isinstance(read_object(raw), dict)
    except NotStrictJson as refusal:
        assert str(refusal).isidentifier()
