"""What the pages about one's app show, on a real server."""

import json
import logging
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI
from fastapi.middleware.cors import CORSMiddleware
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from callcov_auth import AuthMiddleware, AuthSettings
from tests.docs.pages import PAGES, assignments, blocks_of, run_as_module, under
from tests.support.reader import minted, refusal, set_up
from tests.support.servers import serve

NONSENSE = {"Authorization": "Bearer nonsense"}


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)


def app_of(page: str) -> Any:
    (block,) = [
        one for one in blocks_of(f"docs/{page}") if one.language == "python" and "\napp = " in one.text
    ]
    return run_as_module(block)["app"]


def hello(url: str, headers: dict[str, str] | None = None) -> str:
    answer = httpx2.get(f"{url}/greet", headers=headers)
    assert answer.status_code == 200
    return str(answer.json()["hello"])


def test_an_open_path_knows_who_calls_and_refuses_what_is_bad() -> None:
    with serve(app_of("open-paths.md")) as url:
        assert hello(url) == "stranger"
        assert hello(url, minted()).startswith("usr_")
        assert refusal(httpx2.get(f"{url}/greet", headers=NONSENSE)) == (401, "invalid_token")
        assert refusal(httpx2.get(f"{url}/other")) == (401, "missing_token")


def test_an_optional_path_takes_what_is_bad_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in assignments(
        under("open-paths.md", "Where a bad credential counts as none", "ini")
    ).items():
        monkeypatch.setenv(name, value)
    with serve(app_of("open-paths.md")) as url:
        assert hello(url, NONSENSE) == hello(url) == "stranger"
        assert hello(url, minted()).startswith("usr_")


def test_paths_from_the_environment_are_those_of_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in assignments(under("open-paths.md", "For everybody", "ini")).items():
        monkeypatch.setenv(name, value)
    assert AuthSettings().public_paths == ("/health", "/docs", "/openapi.json", "/static/*")


def test_a_websocket_is_refused_before_it_is_accepted_and_may_offer_its_credential() -> None:
    with serve(app_of("websockets.md")) as url:
        address = url.replace("http:", "ws:") + "/live"
        with pytest.raises(InvalidStatus) as missing:
            connect(address, proxy=None)
        credential = minted("calls:read")["Authorization"].removeprefix("Bearer ")
        with connect(address, subprotocols=["bearer", credential], proxy=None) as socket:
            assert socket.subprotocol == "bearer"
            assert str(socket.recv()).startswith("hello usr_")
    assert json.loads(missing.value.response.body)["error"]["code"] == "missing_token"


def test_a_browser_reads_preflights_and_refusals() -> None:
    origin = {"Origin": "https://app.example.com"}
    asking = {"Access-Control-Request-Method": "DELETE", "Access-Control-Request-Headers": "authorization"}
    with serve(app_of("cors.md")) as url:
        preflight = httpx2.options(f"{url}/hello", headers=origin | asking)
        refused = httpx2.get(f"{url}/hello", headers=origin)
    assert preflight.status_code == 200
    assert refusal(refused) == (401, "missing_token")
    for answer in (preflight, refused):
        assert answer.headers["access-control-allow-origin"] == "https://app.example.com"
    exposed = {name.strip() for name in refused.headers["access-control-expose-headers"].split(",")}
    assert exposed == {"WWW-Authenticate", "Retry-After", "X-Request-ID"}


def test_the_warning_of_the_other_order_is_the_one_that_is_shown(caplog: pytest.LogCaptureFixture) -> None:
    (shown,) = [block.text.strip() for block in blocks_of("docs/cors.md") if block.language == "text"]
    app = FastAPI()
    app.add_middleware(CORSMiddleware)
    app.add_middleware(AuthMiddleware, settings=AuthSettings())
    with caplog.at_level(logging.WARNING, "callcov_auth"), serve(app):
        pass
    assert any(shown in record.getMessage() for record in caplog.records)


def test_an_error_of_the_apps_own_has_the_form_of_a_refusal() -> None:
    with serve(app_of("http.md")) as url:
        assert refusal(httpx2.post(f"{url}/calls", headers=minted())) == (409, "conflict")


def test_the_addresses_of_databases_are_taken(monkeypatch: pytest.MonkeyPatch) -> None:
    blocks = [block for block in blocks_of("docs/databases.md") if block.language == "ini"]
    assert len(blocks) == 2
    for block in blocks:
        for name, value in assignments(block.text).items():
            monkeypatch.setenv(name, value)
    settings = AuthSettings()
    assert settings.redis_url is not None
    assert settings.database_url.get_secret_value() in PAGES["docs/databases.md"]


def test_code_without_an_app_does_what_it_says(capsys: pytest.CaptureFixture[str]) -> None:
    (block,) = [one for one in blocks_of("docs/reference/services.md") if one.language == "python"]
    run_as_module(block)
    assert capsys.readouterr().out == "True frozenset({'calls:read'})\n"
