"""Hostile key sets, and hostile answers where one is fetched: none of their keys is ever used."""

from typing import Any

import pytest

from callcov_auth.errors import AuthUnavailable
from callcov_auth.setting_types import ASYMMETRIC
from tests.attacks.cases import Case, Control, refused, taken
from tests.attacks.poison import EC, ED, OCT, RSA, Jwk, bad_answer, bad_fetched_set, bad_set, good
from tests.support.hosting import JWKS, METADATA, hosted_party, page, relying_party
from tests.support.issuers import World
from tests.support.tokens import as_json

pytestmark = pytest.mark.anyio


async def dead_for_too_long(world: World) -> object:
    pages = {JWKS: page({"keys": [EC.jwk()]}, headers={"cache-control": "max-age=60"})}
    started = world.clock.now
    try:
        async with relying_party(world.clock, pages, stale_for=100) as auth:
            await auth.authenticate(f"Bearer {hosted_party(EC, world.clock).token()}")
            pages.clear()
            world.clock.advance(161)
            return await auth.authenticate(f"Bearer {hosted_party(EC, world.clock).token()}")
    finally:
        world.clock.now = started


def metadata(**changes: Any) -> Jwk:
    right = {"issuer": "https://hosted.example", "jwks_uri": JWKS}
    return page(right | changes)


def key_set() -> Jwk:
    return {"keys": [EC.jwk()]}


def mixed() -> list[Jwk]:
    return [EC.jwk(), OCT.jwk()]


CASES = (
    bad_fetched_set("a secret", "RFC 7517 §9.1", lambda: [OCT.jwk()], OCT, algorithms=ASYMMETRIC | {"HS256"}),
    bad_set("secret and public keys, inline", "RFC 8725 §3.1", "are mixed", mixed, ASYMMETRIC | {"HS256"}),
    bad_set("no keys, inline", "RFC 7517 §5", "its key set is empty", list),
    bad_set("keys that are no list, inline", "RFC 7517 §5", "a key set is an object", dict),
    bad_set(
        "101 keys, inline", "RFC 7517 §5", "at most 100", lambda: [EC.jwk(kid=str(n)) for n in range(101)]
    ),
    bad_set(
        "one name for two, inline",
        "RFC 7517 §4.5",
        "two keys have one 'kid'",
        lambda: [EC.jwk(kid="a"), ED.jwk(kid="a")],
    ),
    bad_set(
        "one key for two algorithms, inline",
        "RFC 8725 §3.1",
        "one key is there twice",
        lambda: [RSA.jwk(kid="a"), RSA.jwk(kid="b", alg="PS256")],
    ),
    bad_fetched_set("one name for two", "RFC 7517 §4.5", lambda: [EC.jwk(), ED.jwk(kid=EC.kid)], EC),
    bad_fetched_set(
        "one name for two, the other way round", "RFC 7517 §4.5", lambda: [ED.jwk(kid=EC.kid), EC.jwk()], EC
    ),
    bad_fetched_set(
        "one name for a good and a bad one", "RFC 7517 §4.5", lambda: [EC.jwk(), EC.jwk(use="enc")], EC
    ),
    bad_fetched_set(
        "one key for two algorithms",
        "RFC 8725 §3.1",
        lambda: [RSA.jwk(), RSA.jwk(kid="b", alg="RS512")],
        RSA,
    ),
    bad_fetched_set("one key with two names", "RFC 8725 §3.1", lambda: [EC.jwk(), EC.jwk(kid="b")], EC),
    bad_fetched_set(
        "101 keys", "RFC 7517 §5", lambda: [EC.jwk(), *({"kid": str(n)} for n in range(100))], EC
    ),
    bad_fetched_set("no keys", "RFC 7517 §5", list, EC),
    bad_fetched_set("keys that are no list", "RFC 7517 §5", lambda: {"0": EC.jwk()}, EC),
    bad_fetched_set("bad keys alone", "RFC 7517 §5", lambda: [EC.jwk(use="enc")], EC),
    *(
        bad_answer(name, source, lambda content=content: {JWKS: page(content)})
        for name, source, content in (
            ("a list of keys", "RFC 7517 §5", as_json([EC.jwk()])),
            ("a key alone", "RFC 7517 §5", as_json(EC.jwk())),
            ("'keys' twice", "RFC 7517 §5", b'{"keys":[],' + as_json(key_set())[1:]),
            (
                "a name in a key twice",
                "RFC 7517 §4",
                as_json(key_set()).replace(b'"kty"', b'"kty":"oct","kty"'),
            ),
            ("UTF-16", "RFC 8259 §8.1", as_json(key_set()).decode().encode("utf-16")),
            ("NaN", "RFC 7493 §2.2", as_json(key_set())[:-1] + b',"x":NaN}'),
            ("too deep", "RFC 8259 §9", as_json(key_set())[:-1] + b',"x":' + b"[" * 99 + b"]" * 99 + b"}"),
            ("half a character", "RFC 7493 §2.1", as_json(key_set())[:-1] + b',"x":"\\ud800"}'),
            ("a web page", "RFC 7517 §8.5", b"<html></html>"),
            ("nothing", "RFC 7517 §5", b""),
            ("more than 256 KiB", "RFC 8725 §3.10", as_json(key_set()) + b" " * (256 * 1024)),
        )
    ),
    *(
        bad_answer(
            f"status {status}",
            "RFC 9110 §15",
            lambda status=status: {JWKS: page(key_set()) | {"status_code": status}},
        )
        for status in (201, 203, 206, 401, 404, 500, 503)
    ),
    bad_answer(
        "compressed", "CVE-2024-33664", lambda: {JWKS: page(key_set(), headers={"content-encoding": "zstd"})}
    ),
    bad_answer(
        "a redirect to another host",
        "RFC 8725 §3.10",
        lambda: {
            JWKS: page(b"", status_code=302, headers={"location": "https://evil.example/jwks.json"}),
            "https://evil.example/jwks.json": page(key_set()),
        },
    ),
    bad_answer(
        "a redirect to another port",
        "RFC 6454 §4",
        lambda: {
            JWKS: page(b"", status_code=307, headers={"location": "https://hosted.example:8443/jwks.json"}),
            "https://hosted.example:8443/jwks.json": page(key_set()),
        },
    ),
    bad_answer(
        "a redirect away from HTTPS",
        "RFC 8725 §3.10",
        lambda: {
            JWKS: page(b"", status_code=301, headers={"location": "http://hosted.example/jwks.json"}),
            "http://hosted.example/jwks.json": page(key_set()),
        },
    ),
    bad_answer(
        "a redirect to itself",
        "RFC 9110 §15.4",
        lambda: {
            JWKS: page(b"", status_code=302, headers={"location": JWKS}),
        },
    ),
    bad_answer(
        "four redirects",
        "RFC 9110 §15.4",
        lambda: {
            JWKS: page(b"", status_code=302, headers={"location": "/1"}),
            **{
                f"https://hosted.example/{n}": page(b"", status_code=302, headers={"location": f"/{n + 1}"})
                for n in (1, 2, 3)
            },
            "https://hosted.example/4": page(key_set()),
        },
    ),
    *(
        bad_answer(
            f"metadata: {name}",
            source,
            lambda changes=changes: {
                METADATA: metadata(**changes),
                JWKS: page(key_set()),
                "http://hosted.example/jwks.json": page(key_set()),
            },
            discovery=True,
        )
        for name, source, changes in (
            ("of another issuer", "OpenID Connect Discovery 1.0 §4.3", {"issuer": "https://evil.example"}),
            (
                "of one with a slash more",
                "OpenID Connect Discovery 1.0 §4.3",
                {"issuer": "https://hosted.example/"},
            ),
            ("of no issuer", "OpenID Connect Discovery 1.0 §4.3", {"issuer": None}),
            ("keys over plain HTTP", "RFC 8414 §2", {"jwks_uri": "http://hosted.example/jwks.json"}),
            ("keys in a file", "RFC 8414 §2", {"jwks_uri": "file:///jwks.json"}),
            ("keys nowhere", "RFC 8414 §2", {"jwks_uri": None}),
            ("keys at no address", "RFC 8414 §2", {"jwks_uri": "https://[::1/jwks.json"}),
        )
    ),
    Case(
        "an issuer that is dead for too long",
        "RFC 7517 §9.1",
        "jwks_unavailable",
        dead_for_too_long,
        AuthUnavailable,
    ),
)


async def redirected(world: World) -> object:
    pages = {
        JWKS: page(b"", status_code=302, headers={"location": "/moved"}),
        "https://hosted.example/moved": page(key_set()),
    }
    async with relying_party(world.clock, pages) as auth:
        return await auth.authenticate(f"Bearer {hosted_party(EC, world.clock).token()}")


async def discovered(world: World) -> object:
    pages = {METADATA: metadata(), JWKS: page(key_set())}
    async with relying_party(world.clock, pages, discovery=True) as auth:
        return await auth.authenticate(f"Bearer {hosted_party(EC, world.clock).token()}")


CONTROLS = (
    good(
        "a good key beside bad ones", lambda: [EC.jwk(), {"kty": "AKP", "kid": "pq"}, OCT.jwk(), None, 7], EC
    ),
    good("100 keys", lambda: [EC.jwk(), *({"kid": str(n)} for n in range(99))], EC),
    Control("a redirect within the host", redirected),
    Control("keys that the metadata names", discovered),
)


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_the_attack_is_refused(world: World, case: Case) -> None:
    await refused(case, world)


@pytest.mark.parametrize("near", CONTROLS, ids=str)
async def test_what_is_near_it_is_taken(world: World, near: Control) -> None:
    await taken(near, world)
