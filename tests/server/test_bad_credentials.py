"""Keys and tokens of the right form that are not good: invented, mistyped, ended, or of another kind."""

import base64
import json
import secrets
from collections.abc import Callable, Iterator

import pytest

from callcov_auth import Auth
from callcov_auth.keys import format as key_format
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.support.raw_http import Answer, ask, bearer
from tests.support.servers import serve

KEY_NOT_VALID = "The API key is not valid"
TOKEN_NOT_VALID = "The token is not valid"


@pytest.fixture(scope="module")
def site(seeded: Seeded, http_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), http=http_implementation) as url:
        yield url


def ask_as(site: str, credential: str) -> Answer:
    return ask(site, "/api/v1/analysis/", bearer(credential))


def json_part(value: object) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def other(character: str) -> str:
    return "a" if character != "a" else "b"


def unknown_key(seeded: Seeded) -> str:
    """A key with our own MAC that was never stored."""
    return key_format.mint(seeded.settings.key_mac_key, "live")


def foreign_key(seeded: Seeded) -> str:
    return key_format.mint(secrets.token_bytes(32), "live")


JUNK_KEYS: dict[str, Callable[[Seeded], str]] = {
    "the prefix alone": lambda seeded: "sk_",
    "no tail": lambda seeded: "sk_live_",
    "a short tail": lambda seeded: "sk_live_abc123",
    "an unknown environment": lambda seeded: seeded.key.replace("sk_live_", "sk_prod_"),
    "another environment than the MAC's": lambda seeded: seeded.key.replace("sk_live_", "sk_test_"),
    "an added segment": lambda seeded: seeded.key.replace("sk_live_", "sk_live_dev_"),
    "the last character changed": lambda seeded: seeded.key[:-1] + other(seeded.key[-1]),
    "a random character changed": lambda seeded: seeded.key[:20] + other(seeded.key[20]) + seeded.key[21:],
    "cut by one": lambda seeded: seeded.key[:-1],
    "longer by one": lambda seeded: seeded.key + "0",
    "a padding sign": lambda seeded: seeded.key + "=",
    "upper and lower case swapped": lambda seeded: "sk_live_" + seeded.key[8:].swapcase(),
    "dots, as a token has": lambda seeded: "sk_live.a.b",
    "another deployment's MAC": foreign_key,
    "our MAC, never stored": unknown_key,
    "8,000 characters": lambda seeded: "sk_live_" + "a" * 8000,
}


@pytest.mark.parametrize("junk", JUNK_KEYS)
def test_an_invented_or_mistyped_key_is_invalid(site: str, seeded: Seeded, junk: str) -> None:
    answer = ask_as(site, JUNK_KEYS[junk](seeded))

    assert (answer.status, answer.error["code"]) == (401, "invalid_token")
    assert answer.error["message"] == KEY_NOT_VALID


def with_payload(seeded: Seeded, **changes: object) -> str:
    header, payload, signature = seeded.token.split(".")
    claims = json.loads(base64.urlsafe_b64decode(payload + "=="))
    return ".".join([header, json_part(claims | changes), signature])


JUNK_TOKENS: dict[str, Callable[[Seeded], str]] = {
    "three letters": lambda seeded: "a.b.c",
    "no JSON": lambda seeded: "aaaa.bbbb.cccc",
    "empty objects": lambda seeded: "e30.e30.e30",
    "algorithm none": lambda seeded: ".".join([json_part({"alg": "none"}), seeded.token.split(".")[1], "AA"]),
    "an unknown kid": lambda seeded: ".".join(
        [json_part({"alg": "HS256", "kid": "x", "typ": "at+jwt"}), *seeded.token.split(".")[1:]]
    ),
    "a changed signature": lambda seeded: seeded.token[:-10] + other(seeded.token[-10]) + seeded.token[-9:],
    "a changed payload": lambda seeded: with_payload(seeded, scope="*"),
    "a longer life": lambda seeded: with_payload(seeded, exp=9_999_999_999),
    "an expired one with a changed signature": lambda seeded: (
        seeded.expired_token[:-10] + other(seeded.expired_token[-10]) + seeded.expired_token[-9:]
    ),
    "a refresh token": lambda seeded: seeded.refresh_token,
    "parts from two tokens": lambda seeded: ".".join(
        [*seeded.token.split(".")[:2], seeded.full_token.split(".")[2]]
    ),
    "8,000 characters": lambda seeded: f"{'a' * 4000}.{'b' * 3990}.cccc",
    "deep nesting": lambda seeded: f"{base64.urlsafe_b64encode(b'[' * 3000).decode()}.e30.cccc",
}


@pytest.mark.parametrize("junk", JUNK_TOKENS)
def test_a_token_that_does_not_verify_is_invalid_and_the_client_is_not_told_why(
    site: str, seeded: Seeded, junk: str
) -> None:
    answer = ask_as(site, JUNK_TOKENS[junk](seeded))

    assert (answer.status, answer.error["code"]) == (401, "invalid_token")
    assert answer.error["message"] == TOKEN_NOT_VALID


@pytest.mark.parametrize(
    ("credential", "code", "message"),
    [
        ("expired_key", "token_expired", "The token expired"),
        ("expired_token", "token_expired", "The token expired"),
        ("revoked_key", "token_revoked", "The API key was revoked"),
    ],
)
def test_a_genuine_credential_that_ended_is_told_so(
    site: str, seeded: Seeded, credential: str, code: str, message: str
) -> None:
    answer = ask(site, "/api/v1/analysis/", *seeded.lines(credential))

    assert (answer.status, answer.error["code"], answer.error["message"]) == (401, code, message)
    assert answer.header("www-authenticate") == (
        f'Bearer realm="callcov", error="invalid_token", error_description="{message}"'
    )


def test_no_refusal_repeats_what_was_sent(site: str, seeded: Seeded) -> None:
    for credential in (seeded.key[:-1], seeded.expired_token, seeded.refresh_token, "hello-there"):
        answer = ask_as(site, credential)

        assert credential.encode() not in answer.body
        assert credential not in str(answer.headers)
