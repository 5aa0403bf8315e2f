"""The same over TLS: what a server that terminates it itself lets in."""

from collections.abc import Iterator

import httpx2
import pytest

from callcov_auth import Auth
from tests.server.seeding import EMAIL, PASSWORD, Seeded
from tests.server.site import make_site
from tests.server.socket_client import be_refused, hear
from tests.support.servers import serve
from tests.support.tls import Certificate, make_certificate

LOOPBACK = ("127.0.0.0/8",)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def site(seeded: Seeded, certificate: Certificate, http_implementation: str) -> Iterator[str]:
    settings = seeded.settings.replace(require_https=True, trusted_proxies=LOOPBACK)
    tls = {"ssl_certfile": str(certificate.certfile), "ssl_keyfile": str(certificate.keyfile)}
    with serve(make_site(Auth(settings)), http=http_implementation, **tls) as url:
        yield url


@pytest.fixture
def client(site: str, certificate: Certificate) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=site, verify=certificate.client_context(), trust_env=False) as opened:
        yield opened


def test_https_is_let_in(client: httpx2.Client, seeded: Seeded) -> None:
    answer = client.get("/api/v1/analysis/", headers={"Authorization": f"Bearer {seeded.key}"})

    assert (answer.status_code, answer.json()["subject"]) == (200, seeded.owner_id)


def test_login_works_over_https(client: httpx2.Client) -> None:
    answer = client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})

    assert (answer.status_code, answer.json()["expires_in"]) == (200, 1800)
    assert answer.headers["cache-control"] == "no-store"


def test_a_bad_credential_is_refused_for_itself(client: httpx2.Client) -> None:
    answer = client.get("/api/v1/analysis/", headers={"Authorization": "Bearer junk"})

    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_token")


def test_a_trusted_proxy_that_had_it_in_plain_is_refused_though_it_speaks_tls_to_us(
    client: httpx2.Client, seeded: Seeded
) -> None:
    headers = {"Authorization": f"Bearer {seeded.key}", "X-Forwarded-Proto": "http"}

    answer = client.get("/api/v1/analysis/", headers=headers)

    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "https_required")


def test_a_secure_websocket_is_let_in(site: str, certificate: Certificate, seeded: Seeded) -> None:
    heard = hear(site, "/ws", *seeded.lines("key"), tls=certificate.client_context())

    assert heard["subject"] == seeded.owner_id


def test_a_plain_websocket_is_refused(seeded: Seeded) -> None:
    with serve(make_site(Auth(seeded.settings.replace(require_https=True)))) as url:
        refusal = be_refused(url, "/ws", *seeded.lines("key"))

    assert (refusal.status, refusal.error["code"]) == (403, "https_required")
