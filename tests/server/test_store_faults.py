"""A store that cannot answer: 503, and a store with a bug in it: 500. Never 401, never a let-through."""

import logging
from collections.abc import Iterator

import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable
from callcov_auth.store.sql import SqlStore
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.support.faulty_store import FaultyStore
from tests.support.raw_http import ask, bearer
from tests.support.servers import serve

SECRET_TEXT = "SELECT * FROM callcov_api_keys at 10.1.2.3"


@pytest.fixture(scope="module")
def store(seeded: Seeded) -> FaultyStore:
    return FaultyStore(SqlStore(seeded.settings.database_url.get_secret_value()))


@pytest.fixture(scope="module")
def site(seeded: Seeded, store: FaultyStore, http_implementation: str) -> Iterator[str]:
    # Remembered for a blink, so that each request asks the store.
    settings = seeded.settings.replace(cache_ttl=0.000001)
    with serve(make_site(Auth(settings, store=store)), http=http_implementation) as url:
        yield url


@pytest.fixture(autouse=True)
def mended_afterwards(store: FaultyStore) -> Iterator[None]:
    yield
    store.mend()


@pytest.mark.parametrize("path", ["/api/v1/analysis/", "/health", "/maybe"])
def test_a_store_that_is_down_is_503_on_every_path(
    site: str, seeded: Seeded, store: FaultyStore, path: str
) -> None:
    store.fail("keys_by_digest", fault=lambda: AuthUnavailable(reason="store_down", retry_after=7))

    answer = ask(site, path, bearer(seeded.key))

    assert (answer.status, answer.error["code"]) == (503, "auth_unavailable")
    assert answer.header("retry-after") == "7"
    assert answer.header("www-authenticate") is None


def test_it_is_asked_again_when_it_is_back(site: str, seeded: Seeded, store: FaultyStore) -> None:
    store.fail("keys_by_digest", "session")
    down = ask(site, "/api/v1/analysis/", bearer(seeded.key))
    store.mend()

    assert (down.status, down.header("retry-after")) == (503, "1")
    assert ask(site, "/api/v1/analysis/", bearer(seeded.key)).status == 200


def test_what_needs_no_store_is_decided_without_it(site: str, seeded: Seeded, store: FaultyStore) -> None:
    store.fail("keys_by_digest", "session")

    assert ask(site, "/api/v1/analysis/", bearer(seeded.token)).status == 200
    assert ask(site, "/api/v1/analysis/", bearer("sk_live_junk")).status == 401
    assert ask(site, "/api/v1/analysis/").status == 401
    assert ask(site, "/health").status == 200


def test_an_endpoint_of_ours_answers_503_too(site: str, seeded: Seeded, store: FaultyStore) -> None:
    store.fail("keys_by_digest", "session")
    body = b'{"refresh_token": "%b"}' % seeded.refresh_token.encode()

    answer = ask(site, "/api/v1/auth/refresh", method="POST", body=body)

    assert (answer.status, answer.header("retry-after")) == (503, "1")


@pytest.mark.parametrize("path", ["/api/v1/analysis/", "/health", "/maybe"])
def test_a_bug_is_500_logged_with_the_request_id_and_nothing_is_shown(
    site: str, seeded: Seeded, store: FaultyStore, caplog: pytest.LogCaptureFixture, path: str
) -> None:
    store.fail("keys_by_digest", "session", fault=lambda: RuntimeError(SECRET_TEXT))

    answer = ask(site, path, bearer(seeded.key), b"X-Request-ID: find-me")

    assert answer.status == 500
    assert answer.error == {
        "code": "internal_error",
        "message": "Something went wrong on the server",
        "request_id": "find-me",
    }
    assert answer.header("www-authenticate") is None
    [record] = [record for record in caplog.records if record.levelno == logging.ERROR]
    assert "find-me" in record.getMessage()
    assert record.exc_info is not None
    assert seeded.key not in caplog.text


def test_a_bug_behind_an_endpoint_of_ours_shows_nothing_either(
    site: str, seeded: Seeded, store: FaultyStore
) -> None:
    store.fail("keys_by_digest", "session", fault=lambda: RuntimeError(SECRET_TEXT))
    body = b'{"refresh_token": "%b"}' % seeded.refresh_token.encode()

    answer = ask(site, "/api/v1/auth/refresh", method="POST", body=body)

    assert (answer.status, answer.error["code"]) == (500, "internal_error")
    assert b"SELECT" not in answer.body
