"""What README shows is run: apps on a real server, curl lines against the demo, tables against the code."""

import json
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import anyio
import httpx2
import pytest
from pydantic import SecretStr
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from callcov_auth import Auth, AuthSettings
from callcov_auth.demo.app import demo_app
from callcov_auth.demo.settings import EMAIL, add_users, demo_settings
from callcov_auth.errors import REFUSALS
from callcov_auth.events import LoggedOut, RefreshReused
from tests.support.curl import Reader
from tests.support.reader import minted, refusal, set_up
from tests.support.servers import serve

ROOT = Path(__file__).parent.parent
DOCUMENTS = ("README.md", "SECURITY.md", "CONTRIBUTING.md", "CHANGELOG.md")
README = (ROOT / "README.md").read_text("utf-8")
PYPROJECT = (ROOT / "pyproject.toml").read_text("utf-8")

# Each app in README, by the heading it stands under, and a path that it answers.
APPS = {
    "FastAPI": "/hello",
    "Starlette": "/hello",
    "Any ASGI app": "/hello",
    "Say what a route needs": "/analysis/1",
    "As a dependency of FastAPI": "/reports",
    "What a request carries": "/whoami",
    "CORS": "/hello",
}
NONSENSE = {"Authorization": "Bearer nonsense"}

# Where README tells the reader to keep what an answer gives.
KEPT = {"access_token": "TOKEN", "refresh_token": "REFRESH_TOKEN", "api_key": "KEY", "id": "KEY_ID"}


@dataclass(frozen=True, slots=True)
class Block:
    heading: str
    language: str
    text: str


def blocks_of(text: str) -> list[Block]:
    pattern = re.compile(r"^#+ (?P<heading>[^\n]+)$|^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.M | re.S)
    heading, found = "", []
    for match in pattern.finditer(text):
        heading = match["heading"] or heading
        if match["language"]:
            found.append(Block(heading, match["language"], match["text"]))
    return found


def table_under(heading: str, text: str = README) -> list[list[str]]:
    """The rows of the first table under a heading, without the row of names; cells without backticks."""
    section = text.partition(f"## {heading}\n")[2].partition("\n## ")[0]
    rows = [line for line in section.splitlines() if line.startswith("|")][2:]
    return [[cell.strip().strip("`") for cell in row.strip("|").split("|")] for row in rows]


BLOCKS = blocks_of(README)
PYTHON = {block.heading: block for block in BLOCKS if block.language == "python"}
SHELL = "".join(block.text for block in BLOCKS if block.language == "sh")
SHELL_LINES = SHELL.replace("\\\n", "").splitlines()
CURLS = [line for line in SHELL_LINES if line.startswith("curl ") and "$API" in line]


@pytest.fixture(autouse=True)
def on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    set_up(monkeypatch)


def run(heading: str) -> dict[str, Any]:
    namespace: dict[str, Any] = {"__name__": "app"}
    exec(compile(PYTHON[heading].text, f"README.md: {heading}", "exec"), namespace)
    return namespace


@pytest.mark.parametrize("heading", PYTHON)
def test_a_python_block_runs(heading: str) -> None:
    assert len(run(heading)) > 2


def test_every_app_is_tried() -> None:
    assert len(PYTHON) == README.count("```python\n")
    apps = {heading for heading, block in PYTHON.items() if "\napp = " in block.text}
    assert apps == {*APPS, "WebSockets"}


@pytest.mark.parametrize(("heading", "path"), APPS.items())
def test_an_app_lets_in_who_has_a_credential(heading: str, path: str) -> None:
    key = minted("analysis:read")
    with serve(run(heading)["app"]) as url:
        assert refusal(httpx2.get(url + path)) == (401, "missing_token")
        assert refusal(httpx2.get(url + path, headers=NONSENSE)) == (401, "invalid_token")
        assert httpx2.get(url + path, headers=key).status_code == 200


@pytest.mark.parametrize("heading", ["As a dependency of FastAPI", "Starlette"])
def test_an_app_with_the_routes_answers_a_login(heading: str) -> None:
    body = {"email": "nobody@example.com", "password": "a-password"}
    with serve(run(heading)["app"]) as url:
        response = httpx2.post(f"{url}/api/v1/auth/login", json=body)
        assert refusal(response) == (401, "invalid_credentials")


def test_the_first_app_has_less_than_ten_lines() -> None:
    assert sum(bool(line.strip()) for line in PYTHON["FastAPI"].text.splitlines()) < 10


def test_https_is_required_unless_it_is_switched_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CALLCOV_AUTH_REQUIRE_HTTPS")
    with serve(run("FastAPI")["app"]) as url:
        assert refusal(httpx2.get(f"{url}/hello", headers=NONSENSE)) == (403, "https_required")


def test_a_route_refuses_who_lacks_its_scope() -> None:
    with serve(run("Say what a route needs")["app"]) as url:
        other, wildcard = minted("calls:read"), minted("analysis:*")
        assert refusal(httpx2.get(f"{url}/analysis/1", headers=other)) == (403, "insufficient_permissions")
        assert refusal(httpx2.get(f"{url}/analysis/2", headers=wildcard)) == (404, "not_found")
        assert httpx2.get(f"{url}/analysis/1", headers=wildcard).json() == {"id": "1"}


def test_a_request_carries_what_is_shown() -> None:
    key = minted("analysis:read")
    with serve(run("What a request carries")["app"]) as url:
        told = httpx2.get(f"{url}/whoami", headers=key).json()
    assert told.pop("subject").startswith("usr_")
    assert told.pop("key_id").startswith("key_")
    assert told == {"kind": "api_key", "scopes": ["analysis:read"], "may_write": False}


def test_a_browser_sees_preflights_and_refusals() -> None:
    origin = {"Origin": "https://app.example.com"}
    asking = {"Access-Control-Request-Method": "GET", "Access-Control-Request-Headers": "authorization"}
    with serve(run("CORS")["app"]) as url:
        preflight = httpx2.options(f"{url}/hello", headers=origin | asking)
        refused = httpx2.get(f"{url}/hello", headers=origin)
    assert preflight.status_code == 200
    assert refusal(refused) == (401, "missing_token")
    allowed = [answer.headers["access-control-allow-origin"] for answer in (preflight, refused)]
    assert allowed == ["https://app.example.com"] * 2


def test_a_websocket_is_refused_before_it_is_accepted() -> None:
    with serve(run("WebSockets")["app"]) as url:
        address = url.replace("http:", "ws:") + "/live"
        with pytest.raises(InvalidStatus) as missing:
            connect(address, proxy=None)
        with pytest.raises(InvalidStatus) as lacking:
            connect(address, additional_headers=minted("calls:read"), proxy=None)
        with connect(address, additional_headers=minted("analysis:read"), proxy=None) as socket:
            assert str(socket.recv()).startswith("hello usr_")
    assert json.loads(missing.value.response.body)["error"]["code"] == "missing_token"
    assert json.loads(lacking.value.response.body)["error"]["code"] == "insufficient_permissions"


def test_a_browsers_websocket_offers_its_credential() -> None:
    credential = minted("analysis:read")["Authorization"].removeprefix("Bearer ")
    with serve(run("WebSockets")["app"]) as url:
        address = url.replace("http:", "ws:") + "/live"
        with connect(address, subprotocols=["bearer", credential], proxy=None) as socket:
            assert socket.subprotocol == "bearer"
            assert str(socket.recv()).startswith("hello usr_")


def test_an_event_comes_to_the_function_that_is_shown() -> None:
    shown = run("What happened")
    shown["settings"].on_event(RefreshReused("usr_1", "ses_1"))
    shown["settings"].on_event(LoggedOut("ses_1"))
    assert shown["alarms"] == ["usr_1"]


def test_problem_details_are_given_as_shown() -> None:
    settings = run("Refusals")["settings"]
    assert settings.render_refusal(REFUSALS[0](), "id")[0] == "application/problem+json"


class Keeping:
    """A reader who keeps what README says to keep."""

    def __init__(self, api: str) -> None:
        self.kept = {"API": api}

    def __call__(self, line: str) -> httpx2.Response:
        return self._keep(Reader(self.kept).type(line))

    def _keep(self, response: httpx2.Response) -> httpx2.Response:
        answer = response.json()
        if {"api_key", "access_token"} & answer.keys():
            for field in KEPT.keys() & answer.keys():
                self.kept.setdefault(KEPT[field], answer[field])
        return response


def test_the_curl_lines_hold_against_the_demo(tmp_path: Path) -> None:
    settings = demo_settings(tmp_path)
    anyio.run(add_users, Auth(settings), EMAIL)
    with serve(demo_app(Auth(settings))) as url:
        ask = Keeping(f"{url}/api/v1")
        answers = [ask(line) for line in CURLS]
        use_key = next(line for line in CURLS if "$KEY" in line)
        refresh = next(line for line in CURLS if "$REFRESH_TOKEN" in line)
        after = [refusal(ask(use_key)), refusal(ask(refresh))]
    assert [answer.status_code for answer in answers] == [200, 200, 201, 200, 200, 201, 200, 200, 200]
    assert after == [(401, "token_revoked"), (401, "token_revoked")]


def test_there_are_shell_lines_to_check() -> None:
    assert "API=http://127.0.0.1:8000/api/v1" in SHELL_LINES
    assert {"scripts/demo", "scripts/test"} <= set(SHELL_LINES)


@pytest.mark.parametrize("document", DOCUMENTS)
def test_what_a_document_names_is_there(document: str) -> None:
    text = (ROOT / document).read_text("utf-8")
    linked = re.findall(r"\]\((?!https?:|#)([^)#]+)[^)]*\)", text)
    scripts = re.findall(r"(?<![\w./-])(scripts/\w+)", text)
    modules = [f"{name.replace('.', '/')}.py" for name in re.findall(r"python -m (benchmarks\.\w+)", text)]
    assert [name for name in [*linked, *scripts, *modules] if not (ROOT / name).is_file()] == []


def test_the_table_of_rooms_is_the_import_contract() -> None:
    layers = tomllib.loads(PYPROJECT)["tool"]["importlinter"]["contracts"][0]["layers"]
    shown = table_under("The rooms", (ROOT / "CONTRIBUTING.md").read_text("utf-8"))
    assert [re.findall(r"\w+", room) for room, _ in shown] == [re.findall(r"\w+", layer) for layer in layers]


def test_the_table_of_refusals_is_the_codes() -> None:
    shown = [(code, int(status)) for code, status, *_ in table_under("Refusals")]
    assert shown == [(refused.code, refused.status) for refused in REFUSALS]


def test_the_table_of_settings_has_the_real_defaults() -> None:
    shown = {name: default for name, default, _ in table_under("Settings")}
    assert len(shown) >= 10
    assert shown == {name: default_of(name) for name in shown}


def default_of(name: str) -> str:
    if name == "secret":
        # By a rule, and not by its field: a service that takes others' tokens alone has none.
        return "required"
    default = AuthSettings.model_fields[name].default
    if isinstance(default, SecretStr):
        return default.get_secret_value()
    if isinstance(default, tuple | frozenset):
        return ", ".join(sorted(default)) or "none"
    return str(default).lower() if default is None or isinstance(default, bool) else str(default)
