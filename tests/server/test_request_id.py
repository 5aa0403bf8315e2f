"""``X-Request-ID``: a fit one is used, and anything else is replaced."""

import re
from collections.abc import Iterator

import pytest

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.support.raw_http import ask
from tests.support.servers import serve


@pytest.fixture(scope="module")
def site(seeded: Seeded, http_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), http=http_implementation) as url:
        yield url


@pytest.mark.parametrize("fit", ["a", "abc-DEF_1.2", "7d44c29e0f3a", "0" * 128])
def test_a_fit_request_id_is_echoed(site: str, fit: str) -> None:
    answer = ask(site, "/", b"X-Request-ID: " + fit.encode())

    assert answer.all("x-request-id") == [fit]
    assert answer.error["request_id"] == fit


@pytest.mark.parametrize(
    "lines",
    [
        [],
        [b"X-Request-ID:"],
        [b"X-Request-ID: " + b"0" * 129],
        [b"X-Request-ID: a b"],
        [b"X-Request-ID: a\tb"],
        [b"X-Request-ID: a,b"],
        [b"X-Request-ID: a/b"],
        [b"X-Request-ID: <script>"],
        [b'X-Request-ID: "a"'],
        [b"X-Request-ID: \xc3\xa9"],
        [b"X-Request-ID: a%0d%0aSet-Cookie:x=1"],
        [b"X-Request-ID: one", b"X-Request-ID: two"],
        [b"X-Request-ID: same", b"X-Request-ID: same"],
    ],
)
def test_an_unfit_one_is_replaced(site: str, lines: list[bytes]) -> None:
    answers = [ask(site, "/", *lines) for _ in range(2)]

    made = [answer.header("x-request-id") or "" for answer in answers]
    assert all(re.fullmatch("[0-9a-f]{32}", request_id) for request_id in made)
    assert made[0] != made[1]
    assert [answer.error["request_id"] for answer in answers] == made
