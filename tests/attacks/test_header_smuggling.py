"""Headers that two parsers read in two ways: one Bearer credential in one place, to the letter, or none."""

from typing import Any

import pytest

from callcov_auth import Auth
from callcov_auth.asgi.gate import Gate
from callcov_auth.errors import InvalidToken, MissingToken
from tests.attacks.cases import Case, Control, Make, control, refused, sends, sent, taken
from tests.support.asgi import Headers, scope_of
from tests.support.issuers import World, own_party
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

GRAMMAR = "RFC 6750 §2.1, RFC 9110 §11.6.2"
SPLITTING = "CWE-93, RFC 9110 §5.5"
TWICE = "RFC 6750 §2, RFC 9110 §5.3"


def value(template: str) -> Make:
    """A header value around a right token."""
    return lambda world: template.replace("TOKEN", world.own.token()).encode("latin-1")


def gated(
    name: str,
    source: str,
    reason: str,
    headers: Headers,
    path: str = "/",
    kind: str = "http",
    error: type[Exception] = InvalidToken,
    settings: dict[str, Any] | None = None,
    **more: Any,
) -> Case:
    async def attempt(world: World) -> object:
        return await admitted(world, headers, path, kind, settings or {}, more)

    return Case(name, source, reason, attempt, error, "gate")


async def admitted(
    world: World, headers: Headers, path: str, kind: str, settings: dict[str, Any], more: dict[str, Any]
) -> object:
    async with Auth(make_settings(**settings), clock=world.clock) as auth:
        token = own_party(auth, world.clock).token()
        filled = [(name, text.replace("TOKEN", token)) for name, text in headers]
        scope = scope_of(kind, path.replace("TOKEN", token), filled)
        scope |= {name: [part.replace("TOKEN", token) for part in parts] for name, parts in more.items()}
        return await Gate(auth).admit(scope)


BEARER = ("authorization", "Bearer TOKEN")
KEY_HEADER = {"api_key_header": "X-API-Key"}
SOCKETS = {"websocket_protocol": True}
CASES = (
    *(
        sent(f"{template!r}", source, reason, value(template))
        for template, source, reason in (
            ("", GRAMMAR, "header_malformed"),
            (" \t ", GRAMMAR, "header_malformed"),
            ("Bearer", GRAMMAR, "header_malformed"),
            ("Bearer ", GRAMMAR, "header_malformed"),
            ("bearer  ", GRAMMAR, "header_malformed"),
            ("BearerTOKEN", GRAMMAR, "unsupported_scheme"),
            ("Bearer\tTOKEN", GRAMMAR, "unsupported_scheme"),
            ("Bearer \tTOKEN", GRAMMAR, "header_malformed"),
            ("Bearer: TOKEN", GRAMMAR, "unsupported_scheme"),
            ("Bearer=TOKEN", GRAMMAR, "unsupported_scheme"),
            ("Bearer,TOKEN", GRAMMAR, "unsupported_scheme"),
            ("TOKEN", GRAMMAR, "unsupported_scheme"),
            ("Token TOKEN", GRAMMAR, "unsupported_scheme"),
            ("JWT TOKEN", GRAMMAR, "unsupported_scheme"),
            ("Basic TOKEN", GRAMMAR, "unsupported_scheme"),
            ("DPoP TOKEN", "RFC 9449 §7.1", "unsupported_scheme"),
            ("Basic dTpw, Bearer TOKEN", TWICE, "unsupported_scheme"),
            ("Bearer TOKEN, Basic dTpw", TWICE, "header_malformed"),
            ("Bearer TOKEN, Bearer TOKEN", TWICE, "header_malformed"),
            ("Bearer TOKEN,TOKEN", TWICE, "header_malformed"),
            ("Bearer TOKEN TOKEN", TWICE, "header_malformed"),
            ("Bearer Bearer TOKEN", GRAMMAR, "header_malformed"),
            ("Bearer TOKEN;", GRAMMAR, "header_malformed"),
            ('Bearer "TOKEN"', GRAMMAR, "header_malformed"),
            ("Bearer <TOKEN>", GRAMMAR, "header_malformed"),
            ('Bearer token="TOKEN"', GRAMMAR, "header_malformed"),
            ("Bearer TOKEN\r\nX-Injected: 1", SPLITTING, "header_malformed"),
            ("Bearer TOKEN\n", SPLITTING, "header_malformed"),
            ("\nBearer TOKEN", SPLITTING, "unsupported_scheme"),
            ("Bearer\r\n TOKEN", "RFC 9112 §5.2", "unsupported_scheme"),
            ("Bearer TOKEN\x00", SPLITTING, "header_malformed"),
            ("\x00Bearer TOKEN", SPLITTING, "unsupported_scheme"),
            ("Bearer TOKEN\x0b", SPLITTING, "header_malformed"),
            ("Bearer\x0cTOKEN", SPLITTING, "unsupported_scheme"),
            ("Bearer\xa0TOKEN", GRAMMAR, "unsupported_scheme"),
            ("Bearer TOKEN\x85", GRAMMAR, "header_malformed"),
            ("B\xe9arer TOKEN", GRAMMAR, "unsupported_scheme"),
            ("Bearer abc", GRAMMAR, "unknown_form"),
            ("Bearer ...", GRAMMAR, "unknown_form"),
            ("Bearer ~", GRAMMAR, "unknown_form"),
        )
    ),
    gated("none at all", "RFC 6750 §3", "missing_token", [], error=MissingToken),
    gated("two headers", TWICE, "several_credentials", [BEARER, BEARER]),
    gated("two headers, one of them empty", TWICE, "several_credentials", [BEARER, ("authorization", "")]),
    gated(
        "two headers, one of another scheme",
        TWICE,
        "several_credentials",
        [("authorization", "Basic eA"), BEARER],
    ),
    gated(
        "two spellings of its name", TWICE, "several_credentials", [BEARER, ("AUTHORIZATION", "Bearer TOKEN")]
    ),
    *(
        gated(
            f"in {name}", "RFC 6750 §2.3, RFC 9700 §2.6", "missing_token", headers, path, error=MissingToken
        )
        for name, headers, path in (
            ("the query", [], "/?access_token=TOKEN"),
            ("a cookie", [("cookie", "access_token=TOKEN")], "/"),
            ("X-API-Key", [("x-api-key", "TOKEN")], "/"),
            ("Proxy-Authorization", [("proxy-authorization", "Bearer TOKEN")], "/"),
            ("X-Forwarded-Authorization", [("x-forwarded-authorization", "Bearer TOKEN")], "/"),
            ("authorization_", [("authorization_", "Bearer TOKEN")], "/"),
        )
    ),
    gated(
        "a key's header beside the other",
        TWICE,
        "several_credentials",
        [BEARER, ("x-api-key", "sk_live_x")],
        settings=KEY_HEADER,
    ),
    gated(
        "a token in the key's header",
        "CWE-287",
        "key_header_malformed",
        [("x-api-key", "TOKEN")],
        settings=KEY_HEADER,
    ),
    gated(
        "a subprotocol beside the header",
        TWICE,
        "several_credentials",
        [BEARER],
        kind="websocket",
        settings=SOCKETS,
        subprotocols=["bearer", "TOKEN"],
    ),
    *(
        gated(
            f"subprotocols {offered}",
            "RFC 6455 §4.1",
            "subprotocol_malformed",
            [],
            kind="websocket",
            settings=SOCKETS,
            subprotocols=offered,
        )
        for offered in (["bearer"], ["chat", "bearer"], ["bearer", "TOKEN", "bearer", "TOKEN"])
    ),
    gated(
        "a subprotocol where that is off",
        "RFC 6455 §4.1",
        "missing_token",
        [],
        kind="websocket",
        error=MissingToken,
        subprotocols=["bearer", "TOKEN"],
    ),
)
CONTROLS = (
    *(
        control(f"{template!r}", value(template))
        for template in (
            "bearer TOKEN",
            "BEARER TOKEN",
            "Bearer    TOKEN",
            " \tBearer TOKEN \t",
            "bEaReR TOKEN",
        )
    ),
    Control("as text", sends(lambda world: world.own.token())),
    Control("one header", lambda world: admitted(world, [BEARER], "/", "http", {}, {})),
    Control(
        "a subprotocol where that is on",
        lambda world: admitted(
            world, [], "/", "websocket", SOCKETS, {"subprotocols": ["chat", "bearer", "TOKEN"]}
        ),
    ),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
