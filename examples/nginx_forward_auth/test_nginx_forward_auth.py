"""nginx, the auth server and the app behind, as a client meets them."""

import re
import ssl
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import httpx2
import pytest

from examples.conftest import ROOT
from tests.support.curl import Reader, steps_of

HERE = Path(__file__).parent


@pytest.fixture(scope="module")
def client(said: Mapping[str, str]) -> Iterator[httpx2.Client]:
    trusting = ssl.create_default_context(cafile=said["CURL_CA_BUNDLE"])
    with httpx2.Client(base_url=said["API"], verify=trusting, trust_env=False, timeout=30) as client:
        yield client


@pytest.fixture(scope="module")
def by_key(said: Mapping[str, str]) -> dict[str, str]:
    return {"Authorization": f"Bearer {said['CALLCOV_API_KEY']}"}


@pytest.fixture(scope="module")
def by_token(said: Mapping[str, str], client: httpx2.Client) -> dict[str, str]:
    login = {"email": said["EMAIL"], "password": said["PASSWORD"]}
    token: Any = client.post("/api/v1/auth/login", json=login).json()["access_token"]
    return {"Authorization": f"Bearer {token}"}


def test_the_readmes_lines_answer_as_it_says(said: Mapping[str, str]) -> None:
    reader, steps = Reader(said), steps_of(HERE / "README.md")
    assert [reader.type(step.line).status_code for step in steps] == [step.status for step in steps]
    assert len(steps) == 6


def test_the_app_learns_who_calls(
    client: httpx2.Client, by_key: dict[str, str], by_token: dict[str, str]
) -> None:
    me = client.get("/api/v1/users/me", headers=by_token).json()["id"]
    key, token = [client.get("/hello?x=1", headers=header).json() for header in (by_key, by_token)]
    assert (key.pop("Key-Id")[:4], token.pop("Key-Id")) == ("key_", None)
    assert key == {"path": "/hello?x=1", "Subject": me, "Kind": "api_key", "Scopes": "calls:read"}
    assert token == {
        "path": "/hello?x=1",
        "Subject": me,
        "Kind": "token",
        "Scopes": "calls:read reports:read",
    }


def test_a_stranger_is_refused_with_a_challenge(client: httpx2.Client) -> None:
    refused = client.get("/hello")
    assert (refused.status_code, refused.headers["www-authenticate"]) == (401, 'Bearer realm="callcov"')


def test_what_a_client_says_of_itself_does_not_come_through(
    client: httpx2.Client, by_key: dict[str, str], by_token: dict[str, str]
) -> None:
    claimed = {"X-Auth-Subject": "root", "X-Auth-Scopes": "*", "X-Auth-Kind": "token"}
    for path, header in (("/hello", by_key), ("/reports", by_token)):
        told = client.get(path, headers=header | claimed).json()
        assert told["Subject"].startswith("usr_")
        assert "*" not in told["Scopes"]


def test_a_part_is_for_those_who_have_its_scope(
    client: httpx2.Client, by_key: dict[str, str], by_token: dict[str, str]
) -> None:
    refused = client.get("/reports", headers=by_key)
    assert refused.status_code == 403
    assert 'scope="reports:read"' in refused.headers["www-authenticate"]
    assert client.get("/reports").status_code == 401
    assert client.get("/reports", headers=by_token).json()["path"] == "/reports"


def test_what_nginx_asks_is_nothing_for_clients(client: httpx2.Client, by_key: dict[str, str]) -> None:
    for path in ("/api/v1/auth/check", "/_auth", "/_auth_reports"):
        assert client.get(path, headers=by_key).status_code == 404


def test_a_key_that_was_revoked_opens_nothing_more(client: httpx2.Client, by_token: dict[str, str]) -> None:
    made = client.post("/api/v1/api-keys/", headers=by_token, json={"name": "short"}).json()
    header = {"Authorization": f"Bearer {made['api_key']}"}
    assert client.get("/hello", headers=header).status_code == 200
    client.delete(f"/api/v1/api-keys/{made['id']}", headers=by_token)
    assert client.get("/hello", headers=header).status_code == 401


def test_the_configuration_is_the_documentations_and_more() -> None:
    page = re.search(r"```nginx\n(.*?)```", (ROOT / "docs" / "deploy.md").read_text("utf-8"), re.DOTALL)
    assert page is not None
    lines = iter((HERE / "site.conf").read_text("utf-8").splitlines())
    assert [line for line in page[1].splitlines() if line not in lines] == []
