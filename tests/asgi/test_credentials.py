"""Where a credential may stand, and that it stands there once."""

from typing import Any

import pytest

from callcov_auth.asgi.credentials import Places, find_authorization, hide_subprotocol
from callcov_auth.errors import InvalidToken

BEARER = (b"authorization", b"Bearer sk_a")
KEY = (b"x-api-key", b"sk_a")
ALL = Places(api_key_header=b"x-api-key", websocket_protocol=True)


def http(*headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "http", "headers": [(b"host", b"x"), *headers]}


def websocket(subprotocols: list[str], *headers: tuple[bytes, bytes]) -> dict[str, Any]:
    return {"type": "websocket", "headers": list(headers), "subprotocols": subprotocols}


@pytest.mark.parametrize(
    ("places", "scope", "found"),
    [
        (Places(), http(), None),
        (Places(), http(BEARER), b"Bearer sk_a"),
        (Places(), http(KEY), None),
        (Places(), http(BEARER, KEY), b"Bearer sk_a"),
        (Places(), websocket(["bearer", "sk_a"]), None),
        (ALL, http(), None),
        (ALL, http(KEY), b"Bearer sk_a"),
        (ALL, http(BEARER), b"Bearer sk_a"),
        (ALL, websocket(["bearer", "sk_a"]), b"Bearer sk_a"),
        (ALL, websocket(["chat", "bearer", "a.b.c"]), b"Bearer a.b.c"),
        (ALL, websocket(["chat"]), None),
        (ALL, websocket([]), None),
        (ALL, {"type": "websocket", "headers": []}, None),
        (ALL, http() | {"subprotocols": ["bearer", "sk_a"]}, None),
        (Places(api_key_header=b"x-api-key"), websocket(["bearer", "sk_a"]), None),
    ],
)
def test_where_it_is_found(places: Places, scope: dict[str, Any], found: bytes | None) -> None:
    assert find_authorization(scope, places) == found


@pytest.mark.parametrize(
    ("scope", "reason"),
    [
        (http(BEARER, BEARER), "several_credentials"),
        (http(BEARER, KEY), "several_credentials"),
        (http(KEY, KEY), "several_credentials"),
        (websocket(["bearer", "sk_a"], BEARER), "several_credentials"),
        (websocket(["bearer", "sk_a"], KEY), "several_credentials"),
        (http((b"x-api-key", b"a.b.c")), "key_header_malformed"),
        (http((b"x-api-key", b"Bearer sk_a")), "key_header_malformed"),
        (http((b"x-api-key", b"")), "key_header_malformed"),
        (websocket(["bearer"]), "subprotocol_malformed"),
        (websocket(["bearer", "sk_a", "bearer", "sk_b"]), "subprotocol_malformed"),
    ],
)
def test_what_is_refused(scope: dict[str, Any], reason: str) -> None:
    with pytest.raises(InvalidToken) as caught:
        find_authorization(scope, ALL)
    assert caught.value.reason == reason


@pytest.mark.parametrize("start", ["kg_", ""], ids=["a start", "any"])
def test_the_key_header_takes_keys_of_other_programs_and_no_token(start: str) -> None:
    places = Places(api_key_header=b"x-api-key", key_starts=("sk_", start))
    assert find_authorization(http((b"x-api-key", b"kg_1")), places) == b"Bearer kg_1"
    with pytest.raises(InvalidToken) as caught:
        find_authorization(http((b"x-api-key", b"eyJh.eyJi.c2ln")), places)
    assert caught.value.reason == "key_header_malformed"


def test_two_authorization_headers_are_refused_by_default_too() -> None:
    with pytest.raises(InvalidToken):
        find_authorization(http(BEARER, BEARER), Places())


def test_the_app_sees_nothing_of_an_offered_credential() -> None:
    line = (b"sec-websocket-protocol", b"chat, bearer, sk_a, v2")
    scope = websocket(["chat", "bearer", "sk_a", "v2"], (b"host", b"x"), line)
    hide_subprotocol(scope)
    assert scope["subprotocols"] == ["chat", "bearer", "v2"]
    assert scope["headers"] == [(b"host", b"x"), (b"sec-websocket-protocol", b"chat, bearer, v2")]
