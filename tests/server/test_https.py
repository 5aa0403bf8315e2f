"""``require_https``: plain HTTP is refused with whatever it brings, and never redirected."""

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.support.raw_http import Answer, ask, bearer
from tests.support.servers import serve

LOOPBACK = "127.0.0.0/8"
ELSEWHERE = "10.0.0.0/8"
PATHS = ["/api/v1/analysis/", "/health", "/docs/x", "/maybe", "/no/such", "/api/v1/auth/login"]


@dataclass(frozen=True, slots=True)
class Sites:
    """The same app behind a proxy it trusts, behind one it does not, and without any."""

    trusting: str
    distrusting: str
    alone: str


@pytest.fixture(scope="module")
def sites(seeded: Seeded, http_implementation: str) -> Iterator[Sites]:
    def site(*proxies: str) -> object:
        return make_site(Auth(seeded.settings.replace(require_https=True, trusted_proxies=proxies)))

    with (
        serve(site(LOOPBACK), http=http_implementation) as trusting,
        serve(site(ELSEWHERE), http=http_implementation) as distrusting,
        serve(site(), http=http_implementation) as alone,
    ):
        yield Sites(trusting, distrusting, alone)


def assert_https_required(answer: Answer) -> None:
    assert (answer.status, answer.error["code"]) == (403, "https_required")
    assert answer.header("location") is None
    assert answer.header("www-authenticate") is None


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize("credential", [None, "key", "token", "expired_token", "revoked_key", "junk"])
def test_plain_http_is_refused_whatever_it_brings(
    sites: Sites, seeded: Seeded, credential: str | None, path: str
) -> None:
    assert_https_required(ask(sites.alone, path, *seeded.lines(credential)))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "DELETE"])
def test_plain_http_is_refused_in_every_method(sites: Sites, seeded: Seeded, method: str) -> None:
    answer = ask(sites.alone, "/health", bearer(seeded.key), method=method)

    assert (answer.status, answer.header("location")) == (403, None)


def test_a_trusted_proxy_vouches_for_https(sites: Sites, seeded: Seeded) -> None:
    answer = ask(sites.trusting, "/api/v1/analysis/", bearer(seeded.key), b"X-Forwarded-Proto: https")

    assert answer.status == 200


@pytest.mark.parametrize(
    ("lines", "taken"),
    [
        ([b"X-Forwarded-Proto: https"], True),
        ([b"X-Forwarded-Proto: HTTPS"], True),
        ([b"X-Forwarded-Proto: https, https"], True),
        ([b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: https"], True),
        ([], False),
        ([b"X-Forwarded-Proto:"], False),
        ([b"X-Forwarded-Proto: http"], False),
        ([b"X-Forwarded-Proto: ftp"], False),
        ([b"X-Forwarded-Proto: https, http"], False),
        ([b"X-Forwarded-Proto: http, https"], False),
        ([b"X-Forwarded-Proto: https", b"X-Forwarded-Proto: http"], False),
        ([b"X-Forwarded-Proto: https;http"], False),
        ([b"X-Forwarded-Scheme: https"], False),
        ([b"X-Forwarded-Ssl: on"], False),
        ([b"Forwarded: proto=https"], False),
        ([b"Front-End-Https: on"], False),
    ],
)
def test_what_a_trusted_proxy_may_say(sites: Sites, lines: list[bytes], taken: bool) -> None:
    answer = ask(sites.trusting, "/health", *lines)

    assert answer.status == (200 if taken else 403)


@pytest.mark.parametrize("site", ["distrusting", "alone"])
def test_nobody_else_vouches_for_anything(sites: Sites, seeded: Seeded, site: str) -> None:
    url = str(getattr(sites, site))

    assert_https_required(ask(url, "/health", bearer(seeded.key), b"X-Forwarded-Proto: https"))
    # The peer counts, and not whom it says that it forwards for.
    assert_https_required(ask(url, "/health", b"X-Forwarded-Proto: https", b"X-Forwarded-For: 10.0.0.1"))


def test_the_event_names_the_client_behind_a_trusted_proxy_alone(
    sites: Sites, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO", "callcov_auth")
    forwarded = b"X-Forwarded-For: 203.0.113.9"

    ask(sites.trusting, "/", forwarded)
    ask(sites.distrusting, "/", forwarded)

    assert [record.event.client for record in caplog.records] == ["203.0.113.9", "127.0.0.1"]
