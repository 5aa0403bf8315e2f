"""The bound on request bodies: 64 KiB, declared or not, and nothing longer is read to its end."""

from collections.abc import Iterator

import pytest

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.support.raw_http import ask
from tests.support.servers import serve

BOUND = 64 * 1024
LOGIN = "/api/v1/auth/login"
CHUNKED = b"Transfer-Encoding: chunked"


@pytest.fixture(scope="module")
def site(seeded: Seeded, http_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), http=http_implementation) as url:
        yield url


def test_a_body_of_64_kib_is_read(site: str) -> None:
    answer = ask(site, LOGIN, method="POST", body=b"{}".ljust(BOUND))

    assert (answer.status, answer.error["code"]) == (422, "validation_error")


@pytest.mark.parametrize("declared", [str(BOUND + 1), "9" * 15])
def test_a_body_that_declares_too_much_is_refused_before_it_comes(site: str, declared: str) -> None:
    answer = ask(site, LOGIN, b"Content-Length: " + declared.encode(), method="POST")

    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


def test_a_body_that_declares_no_length_is_refused_at_the_bound(site: str) -> None:
    # It ends where it is refused: what a server leaves unread may cost the client the answer.
    endless = b"%x\r\n%b" % (2 * BOUND, b" " * (BOUND + 1))

    answer = ask(site, LOGIN, CHUNKED, method="POST", body=endless)

    assert (answer.status, answer.error["code"]) == (413, "body_too_large")


def test_a_body_to_a_closed_path_is_refused_for_the_missing_credential(site: str) -> None:
    answer = ask(site, "/api/v1/api-keys/", b"Content-Length: 99999999", method="POST")

    assert (answer.status, answer.error["code"]) == (401, "missing_token")
