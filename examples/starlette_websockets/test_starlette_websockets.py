"""The WebSockets as programs and browsers meet them."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus
from websockets.sync.client import ClientConnection, connect
from websockets.typing import Subprotocol

from callcov_auth.testing import mint_token
from examples.conftest import ROOT
from tests.support.chromium import chromium, page_of
from tests.support.curl import Reader, steps_of
from tests.support.servers import serve
from tests.support.settings import make_settings

README = Path(__file__).with_name("README.md")


def opened(url: str, path: str, credential: str | None = None) -> AbstractContextManager[ClientConnection]:
    headers = {} if credential is None else {"Authorization": f"Bearer {credential}"}
    return connect(url.replace("http", "ws", 1) + path, additional_headers=headers, proxy=None)


def refusal(url: str, path: str, credential: str | None = None) -> tuple[int, str]:
    """Return how a handshake was refused; where it was not, that fails the test."""
    with pytest.raises(InvalidStatus) as refused, opened(url, path, credential):
        pass
    response = refused.value.response
    return response.status_code, json.loads(response.body)["error"]["code"]


def say(said: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "examples.starlette_websockets.say", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | said, capture_output=True, text=True, timeout=60
    )


def test_the_readmes_lines_answer_as_it_says(said: Mapping[str, str]) -> None:
    reader, steps = Reader(said), steps_of(README)
    assert [reader.type(step.line).status_code for step in steps] == [step.status for step in steps]
    assert len(steps) == 1


def test_a_program_sends_the_key_in_the_header(said: Mapping[str, str]) -> None:
    with opened(said["API"], "/listen", said["CALLCOV_API_KEY"]) as websocket:
        hello = json.loads(websocket.recv())
        websocket.send("is anybody there?")
        again = json.loads(websocket.recv())
    assert hello["kind"] == "api_key"
    assert again == {"from": hello["subject"], "said": "is anybody there?"}


def test_nobody_is_accepted_without_a_credential_that_is_good(said: Mapping[str, str]) -> None:
    assert refusal(said["API"], "/listen") == (401, "missing_token")
    assert refusal(said["API"], "/listen", "nonsense") == (401, "invalid_token")


def test_who_lacks_the_scope_is_refused_before_it_is_accepted(said: Mapping[str, str], token: str) -> None:
    assert refusal(said["API"], "/dictate", said["CALLCOV_API_KEY"]) == (403, "insufficient_permissions")
    with opened(said["API"], "/dictate", token) as websocket:
        assert json.loads(websocket.recv())["kind"] == "token"


def test_as_a_subprotocol_the_credential_is_not_echoed(said: Mapping[str, str]) -> None:
    offered = [Subprotocol("bearer"), Subprotocol(said["CALLCOV_API_KEY"])]
    with connect(
        said["API"].replace("http", "ws", 1) + "/listen", subprotocols=offered, proxy=None
    ) as websocket:
        assert websocket.subprotocol == "bearer"
        assert said["CALLCOV_API_KEY"] not in str(websocket.response.headers if websocket.response else "")


@pytest.mark.parametrize("option", [(), ("--subprotocol",)], ids=["by header", "by subprotocol"])
def test_the_programs_own_words_come_back(said: Mapping[str, str], option: tuple[str, ...]) -> None:
    told = say(said, "/listen", "hello", *option)
    assert (told.returncode, told.stderr) == (0, "")
    assert [list(json.loads(line)) for line in told.stdout.splitlines()] == [
        ["subject", "kind"],
        ["from", "said"],
    ]


def test_the_program_tells_why_it_was_refused(said: Mapping[str, str]) -> None:
    told = say(said, "/dictate", "hello")
    assert told.returncode == 1
    assert told.stderr.startswith("403 ")
    assert "insufficient_permissions" in told.stderr


def test_a_browser_listens_with_the_key_that_is_typed_in(said: Mapping[str, str]) -> None:
    with chromium() as browser, page_of(browser, said["API"]) as page:
        page.goto(said["API"])
        page.get_by_label("API key").fill(said["CALLCOV_API_KEY"])
        page.get_by_role("button", name="Listen").click()
        page.get_by_text('"said":"hello"').wait_for()
        assert page.get_by_label("API key").input_value() == ""


@pytest.fixture
def imported(monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The app's module, as it is imported in production."""
    secret = make_settings().secret
    assert secret is not None
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", secret.get_secret_value())
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "sqlite://")
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "false")
    yield import_module("examples.starlette_websockets.app")
    del sys.modules["examples.starlette_websockets.app"]


def test_a_connection_ends_with_its_token(imported: Any) -> None:
    with serve(imported.app) as url:
        # Whole seconds are counted, so that it is good for one at least.
        short = mint_token(imported.auth.settings, scopes={"calls:read"}, expires_in=2)
        with opened(url, "/listen", short) as websocket:
            assert json.loads(websocket.recv())["kind"] == "token"
            with pytest.raises(ConnectionClosed) as ended:
                websocket.recv(timeout=15)
    assert ended.value.rcvd is not None
    assert (ended.value.rcvd.code, ended.value.rcvd.reason) == (1008, "token_expired")
