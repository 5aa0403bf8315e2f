"""JSON from strangers, read as RFC 7493 (I-JSON) wants it, in bounded depth and time."""

import json
import re
from typing import Any, NoReturn

MAX_DEPTH = 16
MAX_NUMBER_LENGTH = 32

# A string without an end reaches to the end, and nothing is ever given back ('*+'): the time is linear.
_STRINGS = re.compile(rb'"(?:[^"\\]|\\.?)*+"?', re.DOTALL)
_ROUND = bytes.maketrans(b"{}", b"[]")
_NO_BRACKETS = bytes(set(range(256)) - set(b"{}[]"))


class NotStrictJson(ValueError):
    """The bytes are not what they should be; the text is a short reason and holds none of them."""


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in ``raw``.

    Raises NotStrictJson for anything but UTF-8, for a name given twice, for NaN and Infinity, for numbers
    or depths out of bounds, and for half a surrogate pair.
    """
    if _is_too_deep(raw):
        raise NotStrictJson("json_too_deep")
    try:
        value = _DECODER.decode(raw.decode("utf-8"))
    except NotStrictJson:
        raise
    except ValueError:
        # 'from None': the decoder's error holds the whole text.
        raise NotStrictJson("not_json") from None
    if not isinstance(value, dict):
        raise NotStrictJson("not_a_json_object")
    _refuse_half_characters(raw, value)
    return value


def _is_too_deep(raw: bytes) -> bool:
    """Before it is parsed, since the parser recurses. What never closes counts as too deep as well."""
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return False
    brackets = _STRINGS.sub(b"", raw).translate(_ROUND, _NO_BRACKETS)
    for _ in range(MAX_DEPTH):
        brackets = brackets.replace(b"[]", b"")
    return b"[" in brackets


def _refuse_half_characters(raw: bytes, value: dict[str, Any]) -> None:
    if b"\\u" not in raw:
        return
    try:
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except UnicodeEncodeError:
        raise NotStrictJson("not_unicode") from None


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise NotStrictJson("duplicate_name")
    return result


def _integer(digits: str) -> int:
    _bounded(digits)
    return int(digits)


def _decimal(digits: str) -> float:
    _bounded(digits)
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise NotStrictJson("number_out_of_bounds")
    return number


def _bounded(digits: str) -> None:
    if len(digits) > MAX_NUMBER_LENGTH:
        raise NotStrictJson("number_out_of_bounds")


def _no_constant(_name: str) -> NoReturn:
    raise NotStrictJson("not_json")


_DECODER = json.JSONDecoder(
    object_pairs_hook=_unique, parse_int=_integer, parse_float=_decimal, parse_constant=_no_constant
)
