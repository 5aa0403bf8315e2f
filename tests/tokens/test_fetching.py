"""Documents of other issuers over real HTTPS: what is fetched, from where, and how much of it."""

import gzip
import json
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse
from starlette.routing import Route

from callcov_auth import Auth
from callcov_auth.setting_types import ASYMMETRIC
from callcov_auth.tokens import fetching
from callcov_auth.tokens.fetching import MAX_BYTES, MAX_REDIRECTS, fetch_json, jwks_at, jwks_discovered
from callcov_auth.tokens.jwks import Fetched, FetchFailed, RemoteKeys
from tests.support.clock import Clock
from tests.support.issuers import Party, signer
from tests.support.remote_issuer import key_set_of
from tests.support.servers import serve
from tests.support.settings import make_settings
from tests.support.tls import Certificate, make_certificate

pytestmark = pytest.mark.anyio

METADATA = "/.well-known/openid-configuration"
KEYS = key_set_of(signer("ES256", "a"))


class Site:
    """A server of documents, by path. ``seen`` are the requests that came."""

    def __init__(self) -> None:
        self.url = ""
        self.seen: list[Request] = []
        self.answers: dict[str, Callable[[], Response]] = {}
        self.app = Starlette(routes=[Route("/{path:path}", self._answer)])

    async def _answer(self, request: Request) -> Response:
        self.seen.append(request)
        answer = self.answers.get(request.url.path)
        return Response(status_code=404) if answer is None else answer()

    def shows(
        self, path: str, content: bytes | str | dict[str, Any], status: int = 200, **headers: str
    ) -> str:
        """Answer ``path`` so from now on, and return its address."""
        body = json.dumps(content) if isinstance(content, dict) else content
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.answers[path] = lambda: Response(body, status, named, "application/json")
        return self.url + path

    def redirects(self, path: str, target: str, status: int = 302) -> str:
        self.answers[path] = lambda: RedirectResponse(target, status)
        return self.url + path


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="module")
def running(certificate: Certificate) -> Iterator[tuple[Site, Site]]:
    """Two sites of different origins."""
    files = {"ssl_certfile": str(certificate.certfile), "ssl_keyfile": str(certificate.keyfile)}
    site, other = Site(), Site()
    with serve(site.app, **files) as site.url, serve(other.app, **files) as other.url:
        yield site, other


@pytest.fixture
def site(running: tuple[Site, Site], trusts_it: None) -> Site:
    running[0].seen.clear()
    running[0].answers.clear()
    return running[0]


@pytest.fixture
def other(running: tuple[Site, Site]) -> Site:
    running[1].seen.clear()
    running[1].answers.clear()
    return running[1]


@pytest.fixture
def trusts_it(certificate: Certificate, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate.certfile))
    fetching._trusting.cache_clear()
    yield
    fetching._trusting.cache_clear()


async def reason_of(url: object) -> str:
    with pytest.raises(FetchFailed) as caught:
        await fetch_json(url)
    assert caught.value.__cause__ is None
    return str(caught.value)


# Documents


async def test_a_document_and_how_long_it_may_be_kept(site: Site) -> None:
    assert await fetch_json(site.shows("/keys", KEYS, cache_control="max-age=77")) == Fetched(KEYS, 77)
    (request,) = site.seen
    assert request.method == "GET"
    assert "authorization" not in request.headers
    assert request.headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("cache_control", "max_age"),
    [
        ("max-age=300", 300),
        ("public, max-age=300", 300),
        ("MAX-AGE=300,must-revalidate", 300),
        ("max-age=0", 0),
        ("no-store", 0),
        ("max-age=300, no-cache", 0),
        ("no-cache=set-cookie, max-age=300", 0),
        ("s-maxage=300", None),
        ("x-max-age=300", None),
        ("max-age=-1", None),
        ("max-age=300s", None),
        ("max-age=9999999999", None),
        ("max-age", None),
        ("public", None),
        ("", None),
    ],
)
async def test_what_cache_control_says(cache_control: str, max_age: float | None, site: Site) -> None:
    fetched = await fetch_json(site.shows("/keys", {}, cache_control=cache_control))
    assert fetched == Fetched({}, max_age)


async def test_without_cache_control_nothing_is_said(site: Site) -> None:
    assert (await fetch_json(site.shows("/keys", {}))).max_age is None


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"", "not_json"),
        (b"<html>", "not_json"),
        (b'{"a": NaN}', "not_json"),
        (b'{"a": "\xff"}', "not_json"),
        (b'\xef\xbb\xbf{"a": 1}', "not_json"),
        (b'{"a": 1} {"a": 1}', "not_json"),
        (b"[]", "not_a_json_object"),
        (b'{"keys": [], "keys": []}', "duplicate_name"),
        (b'{"keys": [{"kid": "a", "kid": "b"}]}', "duplicate_name"),
        (b'{"a": ' + b"[" * 50 + b"]" * 50 + b"}", "json_too_deep"),
        (b'{"a": ' + b"9" * 50 + b"}", "number_out_of_bounds"),
    ],
)
async def test_what_is_no_strict_json_object_is_refused(content: bytes, reason: str, site: Site) -> None:
    assert await reason_of(site.shows("/keys", content)) == reason


@pytest.mark.parametrize("status", [201, 204, 206, 304, 400, 401, 404, 429, 500, 503])
async def test_a_status_but_200_is_refused(status: int, site: Site) -> None:
    assert (
        await reason_of(site.shows("/keys", b"" if status in (204, 304) else b"{}", status))
        == f"status_{status}"
    )


# Bounds


async def test_a_document_has_a_size(site: Site) -> None:
    padding = MAX_BYTES - len(b'{"a": ""}')
    fits = b'{"a": "' + b"x" * padding + b'"}'
    assert len(fits) == MAX_BYTES
    assert await fetch_json(site.shows("/keys", fits))
    assert await reason_of(site.shows("/keys", fits + b" ")) == "too_large"


async def test_a_document_without_end_is_left_when_it_is_too_large(site: Site) -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b" " * 65536
            await anyio.lowlevel.checkpoint()

    site.answers["/keys"] = lambda: StreamingResponse(endless())
    assert await reason_of(site.url + "/keys") == "too_large"


async def test_what_is_compressed_is_not_unpacked(site: Site) -> None:
    bomb = gzip.compress(b" " * 50_000_000)
    assert len(bomb) < MAX_BYTES
    assert await reason_of(site.shows("/keys", bomb, content_encoding="gzip")) == "compressed"


async def test_a_document_that_drips_is_left_in_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def dripping() -> AsyncIterator[bytes]:
        while True:
            yield b" "
            await anyio.sleep(0.02)

    monkeypatch.setattr(fetching, "TIMEOUT", 0.5)
    site.answers["/keys"] = lambda: StreamingResponse(dripping())
    assert await reason_of(site.url + "/keys") == "TimeoutError"


async def test_a_silent_server_is_left_in_time(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def silent() -> AsyncIterator[bytes]:
        await anyio.sleep_forever()
        yield b""

    monkeypatch.setattr(fetching, "TIMEOUT", 0.5)
    site.answers["/keys"] = lambda: StreamingResponse(silent())
    assert await reason_of(site.url + "/keys") in ("TimeoutError", "ReadTimeout")


# Redirects


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
async def test_a_redirect_within_the_origin_is_followed(status: int, site: Site) -> None:
    site.shows("/new/keys", KEYS)
    for target in ("/new/keys", "new/keys", site.url + "/new/keys"):
        assert (await fetch_json(site.redirects("/keys", target, status))).document == KEYS


@pytest.mark.parametrize(
    "target",
    [
        "{other}/keys",
        "{plain}/keys",
        "https://localhost/keys",
        "https://127.0.0.1/keys",
        "https://127.0.0.1:1/keys",
        "//169.254.169.254/latest/meta-data",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "ftp://127.0.0.1/keys",
        "data:application/json,{{}}",
    ],
)
async def test_a_redirect_elsewhere_is_refused_and_not_followed(target: str, site: Site, other: Site) -> None:
    other.shows("/keys", KEYS)
    target = target.format(other=other.url, plain=site.url.replace("https:", "http:"))
    # httpx2 refuses to read some of them before we do: until 2.10 a data URL, as InvalidURL.
    assert await reason_of(site.redirects("/keys", target)) in ("redirect_to_another_origin", "InvalidURL")
    assert len(site.seen) == 1
    assert other.seen == []


@pytest.mark.parametrize(
    "target", ["https://[::1/keys", "https://127.0.0.1:port/keys", "https://127.0.0.1:99999/"]
)
async def test_a_redirect_that_is_no_address_is_refused(target: str, site: Site) -> None:
    site.answers["/keys"] = lambda: Response(status_code=302, headers={"location": target})
    # The second is what older versions of httpx2 make of it.
    assert await reason_of(site.url + "/keys") in ("ValueError", "RemoteProtocolError")
    assert len(site.seen) == 1


async def test_redirects_come_to_an_end(site: Site) -> None:
    for number in range(MAX_REDIRECTS):
        site.redirects(f"/{number}", f"/{number + 1}")
    site.shows(f"/{MAX_REDIRECTS}", KEYS)
    assert (await fetch_json(site.url + "/0")).document == KEYS
    assert await reason_of(site.redirects("/loop", "/loop")) == "too_many_redirects"
    assert len(site.seen) == 2 * (MAX_REDIRECTS + 1)


async def test_a_redirect_without_a_target_is_refused(site: Site) -> None:
    assert await reason_of(site.shows("/keys", b"", 302)) == "status_302"


# Where from


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    running: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("SSL_CERT_FILE", raising=False)
    fetching._trusting.cache_clear()
    assert await reason_of(running[0].shows("/keys", KEYS)) == "ConnectError"


async def test_a_certificate_for_another_name_is_refused(
    trusts_it: None, tmp_path: Path, running: tuple[Site, Site]
) -> None:
    by_another_name = running[0].url.replace("127.0.0.1", "127.0.0.1.nip.invalid")
    assert await reason_of(by_another_name + "/keys") == "ConnectError"


@pytest.mark.parametrize("scheme", ["http", "HTTP", "ftp", "file", ""])
async def test_nothing_but_https_is_ever_asked(scheme: str) -> None:
    site = Site()
    with serve(site.app) as url:
        assert await reason_of(url.replace("http", scheme) + "/keys") == "not_https"
    assert site.seen == []


@pytest.mark.parametrize("url", [None, 5, ["https://127.0.0.1"], {}])
async def test_what_is_no_address_is_refused(url: object) -> None:
    assert await reason_of(url) == "not_https"


@pytest.mark.parametrize(
    "url", ["https://", "https://127.0.0.1:99999", "https://[", "https://a\x00b", "https://ⅰ⁄x"]
)
async def test_what_is_no_whole_address_is_refused(url: str) -> None:
    assert await reason_of(url)


async def test_a_server_that_is_not_there(trusts_it: None) -> None:
    assert await reason_of("https://127.0.0.1:1/keys") == "ConnectError"


# Key sets


async def test_a_key_set_at_an_address(site: Site) -> None:
    assert (await jwks_at(site.shows("/keys", KEYS))()).document == KEYS


async def test_a_key_set_that_metadata_names(site: Site, other: Site) -> None:
    for jwks_uri in (site.shows("/keys", KEYS), other.shows("/keys", KEYS, cache_control="max-age=77")):
        url = site.shows(METADATA, {"issuer": "https://a.example", "jwks_uri": jwks_uri})
        fetched = await jwks_discovered("https://a.example", url)()
        assert fetched.document == KEYS
    assert fetched.max_age == 77


@pytest.mark.parametrize(
    "issuer", ["https://b.example", "https://a.example/", "https://A.example", None, ["https://a.example"]]
)
async def test_metadata_of_another_issuer_is_refused(issuer: object, site: Site) -> None:
    url = site.shows(METADATA, {"issuer": issuer, "jwks_uri": site.shows("/keys", KEYS)})
    with pytest.raises(FetchFailed, match="metadata_of_another_issuer"):
        await jwks_discovered("https://a.example", url)()
    assert [request.url.path for request in site.seen] == [METADATA]


@pytest.mark.parametrize(
    ("jwks_uri", "reason"),
    [
        ("http://127.0.0.1/keys", "not_https"),
        ("file:///etc/passwd", "not_https"),
        ("/keys", "not_https"),
        ("", "not_https"),
        (None, "not_https"),
        (["https://127.0.0.1"], "not_https"),
        ("https://[", "ValueError"),
        ("https://127.0.0.1:1", "ConnectError"),
    ],
)
async def test_metadata_that_names_no_address_is_refused(jwks_uri: object, reason: str, site: Site) -> None:
    url = site.shows(METADATA, {"issuer": "https://a.example", "jwks_uri": jwks_uri})
    with pytest.raises(FetchFailed, match=reason):
        await jwks_discovered("https://a.example", url)()


async def test_no_answer_of_an_issuer_ends_the_background(site: Site, clock: Clock) -> None:
    url = site.shows(METADATA, {"issuer": "https://a.example", "jwks_uri": "https://["})
    keys = RemoteKeys(
        "https://a.example",
        jwks_discovered("https://a.example", url),
        algorithms=ASYMMETRIC,
        stale_for=0,
        timer=clock,
    )
    await keys.refresh()
    site.shows(METADATA, {"issuer": "https://a.example", "jwks_uri": site.shows("/keys", KEYS)})
    clock.advance(60)
    await keys.refresh()
    assert (await keys.find("a")).kid == "a"


@pytest.mark.parametrize("source", ["jwks_url", "discovery", "the usual place"])
async def test_tokens_are_taken_by_keys_that_were_fetched(source: str, site: Site, clock: Clock) -> None:
    issuer = site.url + "/tenant/"
    keys = site.shows("/keys", KEYS)
    metadata = site.shows("/tenant" + METADATA, {"issuer": issuer, "jwks_uri": keys})
    named = {
        "jwks_url": {"jwks_url": keys},
        "discovery": {"discovery": metadata},
        "the usual place": {"discovery": True},
    }[source]
    party = Party(issuer, "callcov-api", "at+jwt", signer("ES256", "a"), int(clock()))
    settings = make_settings(trusted_issuers=[{"issuer": issuer, "audience": "callcov-api", **named}])
    async with Auth(settings, clock=clock) as auth:
        assert (await auth.authenticate(f"Bearer {party.token()}")).issuer == issuer
    assert len(site.seen) == (1 if source == "jwks_url" else 2)
