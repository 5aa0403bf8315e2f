"""JSON from strangers, read as RFC 7493 (I-JSON) wants it, in bounded depth and time."""

import json
import re
from typing import Any, NoReturn

MAX_DEPTH = 16
MAX_NUMBER_LENGTH = 32

_STRINGS = re.compile(rb'"(?:[^"\\]|\\.)*"', re.DOTALL)


class NotStrictJson(ValueError):
    """The bytes are not what they should be; the text is a short reason and holds none of them."""


def read_object(raw: bytes) -> dict[str, Any]:
    """Return the JSON object in ``raw``.

    Raises NotStrictJson for anything but UTF-8, for a name given twice, for NaN and Infinity, for numbers
    or depths out of bounds, and for half a surrogate pair.
    """
    if _depth_of(raw) > MAX_DEPTH:
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


def _depth_of(raw: bytes) -> int:
    if raw.count(b"{") + raw.count(b"[") <= MAX_DEPTH:
        return 1
    depth = deepest = 0
    for byte in _STRINGS.sub(b"", raw):
        if byte in b"{[":
            depth += 1
            deepest = max(deepest, depth)
        elif byte in b"}]":
            depth -= 1
    return deepest


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
