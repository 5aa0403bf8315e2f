"""The ``Authorization`` header over real sockets: RFC 9110 §11.6.2 and RFC 6750 §2.1, byte for byte."""

from collections.abc import Iterator

import pytest

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.support.raw_http import Answer, ask
from tests.support.servers import serve

MALFORMED = "The Authorization header is malformed"
OTHER_SCHEME = "The Authorization scheme is not Bearer"
NEITHER = "The credential is neither an API key nor a token"
SEVERAL = "The request carries more than one credential"


@pytest.fixture(scope="module")
def site(seeded: Seeded, http_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), http=http_implementation) as url:
        yield url


def ask_with(site: str, seeded: Seeded, *lines: bytes) -> Answer:
    filled = [
        line.replace(b"<key>", seeded.key.encode()).replace(b"<token>", seeded.token.encode())
        for line in lines
    ]
    return ask(site, "/api/v1/analysis/", *filled)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        (b"Authorization: Bearer <key>", "api_key"),
        (b"Authorization: Bearer <token>", "token"),
        (b"Authorization: bearer <key>", "api_key"),
        (b"Authorization: BEARER <key>", "api_key"),
        (b"Authorization: bEaReR <token>", "token"),
        (b"Authorization: Bearer     <key>", "api_key"),
        (b"Authorization:Bearer <key>", "api_key"),
        (b"Authorization:   Bearer <key>", "api_key"),
        (b"Authorization: \t Bearer <token>", "token"),
        (b"Authorization: Bearer <key>   ", "api_key"),
        (b"Authorization: Bearer <key> \t", "api_key"),
        (b"authorization: Bearer <key>", "api_key"),
        (b"AUTHORIZATION: Bearer <key>", "api_key"),
    ],
)
def test_one_bearer_credential_in_any_case_and_with_white_space_is_taken(
    site: str, seeded: Seeded, line: bytes, kind: str
) -> None:
    answer = ask_with(site, seeded, line)

    assert answer.status == 200
    assert f'"kind":"{kind}"'.encode() in answer.body
    assert f'"subject":"{seeded.owner_id}"'.encode() in answer.body


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([b"Authorization:"], MALFORMED),
        ([b"Authorization:   "], MALFORMED),
        ([b"Authorization: Bearer"], MALFORMED),
        ([b"Authorization: Bearer "], MALFORMED),
        ([b"Authorization: Bearer    \t "], MALFORMED),
        ([b"Authorization: Bearer \t<key>"], MALFORMED),
        ([b"Authorization: Bearer <key> <key>"], MALFORMED),
        ([b"Authorization: Bearer <key>\t<key>"], MALFORMED),
        ([b"Authorization: Bearer <key> x"], MALFORMED),
        ([b"Authorization: Bearer <key>,"], MALFORMED),
        ([b"Authorization: Bearer <key>;"], MALFORMED),
        ([b"Authorization: Bearer <key>, Bearer <key>"], MALFORMED),
        ([b"Authorization: Bearer <key>,Basic dXNlcjpwYXNz"], MALFORMED),
        ([b'Authorization: Bearer "<key>"'], MALFORMED),
        ([b"Authorization: Bearer token=<key>"], MALFORMED),
        ([b"Authorization: Bearer ="], MALFORMED),
        ([b"Authorization: Bearer a=b"], MALFORMED),
        ([b"Authorization: Bearer <key>=x"], MALFORMED),
        ([b"Authorization: Bearer <key>\xe9"], MALFORMED),
        ([b"Authorization: Bearer \xc2\xa0<key>"], MALFORMED),
        ([b"Authorization: Bearer <key>\xc2\xa0"], MALFORMED),
        ([b"Authorization: Bearer \xef\xbc\xa1"], MALFORMED),
        ([b"Authorization: <key>"], OTHER_SCHEME),
        ([b"Authorization: <token>"], OTHER_SCHEME),
        ([b"Authorization: Bearer<key>"], OTHER_SCHEME),
        ([b"Authorization: Bearer: <key>"], OTHER_SCHEME),
        ([b"Authorization: Bearer, <key>"], OTHER_SCHEME),
        ([b"Authorization: Bearer\xc2\xa0<key>"], OTHER_SCHEME),
        ([b"Authorization: B\xc3\xa9arer <key>"], OTHER_SCHEME),
        ([b"Authorization: Basic dXNlcjpwYXNz"], OTHER_SCHEME),
        ([b"Authorization: Basic <key>"], OTHER_SCHEME),
        ([b'Authorization: Digest username="a"'], OTHER_SCHEME),
        ([b"Authorization: Token <key>"], OTHER_SCHEME),
        ([b"Authorization: ApiKey <key>"], OTHER_SCHEME),
        ([b"Authorization: DPoP <token>"], OTHER_SCHEME),
        ([b"Authorization: , Bearer <key>"], OTHER_SCHEME),
        ([b"Authorization: Bearer hello"], NEITHER),
        ([b"Authorization: Bearer null"], NEITHER),
        ([b"Authorization: Bearer undefined"], NEITHER),
        ([b"Authorization: Bearer bearer"], NEITHER),
        ([b"Authorization: Bearer dXNlcjpwYXNz=="], NEITHER),
        ([b"Authorization: Bearer <token>="], NEITHER),
        ([b"Authorization: Bearer a.b"], NEITHER),
        ([b"Authorization: Bearer a.b.c.d.e"], NEITHER),
        ([b"Authorization: Bearer .."], NEITHER),
        ([b"Authorization: Bearer a..c"], NEITHER),
        ([b"Authorization: Bearer a.b+c.d"], NEITHER),
        ([b"Authorization: Bearer SK_live_x"], NEITHER),
        ([b"Authorization: Bearer <key>", b"Authorization: Bearer <key>"], SEVERAL),
        ([b"Authorization: Bearer <key>", b"Authorization: Basic dXNlcjpwYXNz"], SEVERAL),
        ([b"Authorization: Basic dXNlcjpwYXNz", b"authorization: Bearer <key>"], SEVERAL),
        ([b"Authorization: Bearer <key>", b"Authorization:"], SEVERAL),
    ],
)
def test_everything_else_is_an_invalid_token(
    site: str, seeded: Seeded, lines: list[bytes], message: str
) -> None:
    answer = ask_with(site, seeded, *lines)

    assert answer.status == 401
    assert (answer.error["code"], answer.error["message"]) == ("invalid_token", message)
    assert answer.header("www-authenticate") == (
        f'Bearer realm="callcov", error="invalid_token", error_description="{message}"'
    )


@pytest.mark.parametrize("tab", [b"Authorization: Bearer\t<key>", b"Authorization: Bearer\t <key>"])
def test_a_tab_does_not_part_the_scheme_from_the_credential(site: str, seeded: Seeded, tab: bytes) -> None:
    answer = ask_with(site, seeded, tab)

    assert (answer.status, answer.error["code"]) == (401, "invalid_token")


@pytest.mark.parametrize("control", [b"\x00", b"\x01", b"\x08", b"\x0b", b"\x0c", b"\x1f", b"\x7f"])
@pytest.mark.parametrize("place", [b"Bearer <key>%b", b"Bearer %b<key>", b"%bBearer <key>", b"Bearer%b<key>"])
def test_a_control_byte_is_refused_by_the_server_or_by_us(
    site: str, seeded: Seeded, place: bytes, control: bytes
) -> None:
    answer = ask_with(site, seeded, b"Authorization: " + place.replace(b"%b", control))

    refused_by_us = answer.status == 401 and answer.error["code"] == "invalid_token"
    refused_by_the_server = answer.status == 400 and b"subject" not in answer.body
    assert refused_by_us or refused_by_the_server


def test_a_value_of_8192_bytes_is_read_and_one_more_is_not(site: str, seeded: Seeded) -> None:
    longest = b"Bearer" + b" " * (8192 - len("Bearer" + seeded.key)) + seeded.key.encode()

    taken = ask(site, "/api/v1/analysis/", b"Authorization: " + longest)
    refused = ask(site, "/api/v1/analysis/", b"Authorization: " + longest.replace(b" ", b"  ", 1))

    assert (len(longest), taken.status) == (8192, 200)
    assert (refused.status, refused.error["message"]) == (401, MALFORMED)


@pytest.mark.parametrize(
    ("path", "lines"),
    [
        ("/api/v1/analysis/", []),
        ("/api/v1/analysis/?access_token=<key>", []),
        ("/api/v1/analysis/?token=<token>&api_key=<key>", []),
        ("/api/v1/analysis/?authorization=Bearer%20<key>", []),
        ("/api/v1/analysis/", [b"Cookie: access_token=<token>; token=<token>"]),
        ("/api/v1/analysis/", [b"Cookie: authorization=Bearer <key>"]),
        ("/api/v1/analysis/", [b"X-API-Key: <key>"]),
        ("/api/v1/analysis/", [b"Proxy-Authorization: Bearer <key>"]),
        ("/api/v1/analysis/", [b"X-Authorization: Bearer <key>"]),
        ("/api/v1/analysis/", [b"X-Forwarded-Authorization: Bearer <key>"]),
        ("/api/v1/analysis/", [b"Sec-WebSocket-Protocol: bearer, <key>"]),
    ],
)
def test_a_credential_in_another_place_is_not_looked_at(
    site: str, seeded: Seeded, path: str, lines: list[bytes]
) -> None:
    filled = [line.replace(b"<key>", seeded.key.encode()) for line in lines]
    answer = ask(site, path.replace("<key>", seeded.key).replace("<token>", seeded.token), *filled)

    assert (answer.status, answer.error["code"]) == (401, "missing_token")


def test_a_credential_in_a_form_is_not_looked_at(site: str, seeded: Seeded) -> None:
    form = b"access_token=" + seeded.key.encode()
    content_type = b"Content-Type: application/x-www-form-urlencoded"

    answer = ask(site, "/anything", content_type, method="POST", body=form)

    assert (answer.status, answer.error["code"]) == (401, "missing_token")


def test_a_header_beside_a_good_credential_changes_nothing(site: str, seeded: Seeded) -> None:
    answer = ask_with(site, seeded, b"Authorization: Bearer <key>", b"X-API-Key: junk", b"Cookie: token=junk")

    assert answer.status == 200
