"""Where the keys of another issuer are looked for."""

from typing import Any

import pytest

from callcov_auth.settings import TrustedIssuer
from callcov_auth.tokens import fetching
from callcov_auth.tokens.jwks import Fetched, FetchFailed
from callcov_auth.tokens.trusted import _fetch, load_issuers
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

WELL_KNOWN = "/.well-known/openid-configuration"


class Web:
    """Every address answers with metadata of ``issuer``, or with keys where it ends so."""

    def __init__(self, issuer: str) -> None:
        self.asked: list[str] = []
        self._metadata = {"issuer": issuer, "jwks_uri": "https://keys.example/jwks"}

    async def fetch_json(self, url: str) -> Fetched:
        self.asked.append(url)
        return Fetched({"keys": []} if url.endswith("/jwks") else self._metadata, None)


async def asked_by(web: Web, monkeypatch: pytest.MonkeyPatch, **source: Any) -> list[str]:
    monkeypatch.setattr(fetching, "fetch_json", web.fetch_json)
    assert (await _fetch(TrustedIssuer(audience="a", **source))()).document == {"keys": []}
    return web.asked


@pytest.mark.parametrize(
    ("issuer", "discovery", "metadata_at"),
    [
        ("https://a.example", True, "https://a.example" + WELL_KNOWN),
        ("https://a.example/", True, "https://a.example" + WELL_KNOWN),
        ("https://a.example/tenants/X", True, "https://a.example/tenants/X" + WELL_KNOWN),
        ("https://a.example", "https://b.example/metadata", "https://b.example/metadata"),
    ],
)
async def test_the_metadata_tell_where_the_keys_are(
    monkeypatch: pytest.MonkeyPatch, issuer: str, discovery: object, metadata_at: str
) -> None:
    asked = await asked_by(Web(issuer), monkeypatch, issuer=issuer, discovery=discovery)
    assert asked == [metadata_at, "https://keys.example/jwks"]


async def test_an_address_of_keys_is_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    source = {"issuer": "https://a.example", "jwks_url": "https://c.example/jwks"}
    assert await asked_by(Web("other"), monkeypatch, **source) == ["https://c.example/jwks"]


@pytest.mark.parametrize("named", ["https://b.example", "https://a.example/", "HTTPS://a.example", ""])
async def test_metadata_of_another_issuer_are_refused(monkeypatch: pytest.MonkeyPatch, named: str) -> None:
    web = Web(named)
    with pytest.raises(FetchFailed) as caught:
        await asked_by(web, monkeypatch, issuer="https://a.example", discovery=True)
    assert str(caught.value) == "metadata_of_another_issuer"
    assert web.asked == ["https://a.example" + WELL_KNOWN]


def test_the_usual_port_may_be_written() -> None:
    assert fetching._origin("https://a.example/x") == fetching._origin("https://a.example:443/y")
    assert fetching._origin("https://a.example") != fetching._origin("https://a.example:444")


async def test_the_issuer_whose_keys_are_lost_is_named(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def nothing(_url: str) -> Fetched:
        raise FetchFailed("status_404")

    monkeypatch.setattr(fetching, "fetch_json", nothing)
    setting = {"issuer": "https://a.example", "audience": "a", "jwks_url": "https://a.example/jwks"}
    _, [keys] = load_issuers(make_settings(trusted_issuers=[setting]), lambda: 0.0)
    await keys.refresh()
    assert [record.getMessage() for record in caplog.records] == [
        "keys_lost issuer='https://a.example' reason='status_404'"
    ]
