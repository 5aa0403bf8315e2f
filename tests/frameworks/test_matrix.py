"""Every framework of docs/frameworks.md on every server: who is let in, and how others are refused."""

import re
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.frameworks.conftest import Seeded, Served, cells
from tests.frameworks.matrix import FRAMEWORKS
from tests.frameworks.table import PAGE, written
from tests.server.socket_client import be_refused, hear
from tests.support.raw_http import bearer
from tests.support.tls import Certificate

VERSIONS: dict[str, dict[str, Any]] = {
    "HTTP/1.1": {"http2": False},
    "HTTP/2": {"http1": False, "http2": True},
}
NONSENSE = "nonsense"


def ask(
    served: Served, version: str, certificate: Certificate, credential: str | None, path: str = "/hello"
) -> httpx2.Response:
    headers = {"Authorization": f"Bearer {credential}"} if credential else {}
    options = VERSIONS[version] | {"trust_env": False, "timeout": 30}
    with httpx2.Client(verify=certificate.client_context(), headers=headers, **options) as client:
        if served.framework.name == "MCP" and credential != NONSENSE and credential:
            answer = call_tool(client, served.url, "/mcp", "hello")
        else:
            # Strangers come without a body: see the page about hypercorn.
            answer = client.get(served.url + path)
    assert answer.http_version == version
    assert len(answer.headers.raw) == len(answer.headers)
    return answer


def call_tool(client: httpx2.Client, url: str, endpoint: str, tool: str) -> httpx2.Response:
    """Call a tool of an MCP server."""
    params = {"name": tool, "arguments": {}}
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    return client.post(url + endpoint, json=call, headers={"Accept": "application/json, text/event-stream"})


def subject_in(answer: httpx2.Response) -> str:
    content = answer.json()
    subject: str = content["result"]["content"][0]["text"] if "result" in content else content["subject"]
    return subject


def lacks_write(answer: httpx2.Response) -> None:
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (403, "insufficient_permissions")
    assert error["details"] == {"required_scopes": ["calls:write"]}
    assert 'error="insufficient_scope", scope="calls:write"' in answer.headers["www-authenticate"]
    assert answer.headers["content-type"] == "application/json"
    assert answer.headers["x-request-id"] == error["request_id"]


def test_a_key_is_let_in_and_the_endpoint_sees_whose_it_is(
    served: Served, seeded: Seeded, certificate: Certificate
) -> None:
    for version in served.server.versions:
        for _ in range(2):
            answer = ask(served, version, certificate, seeded.key)
            assert (answer.status_code, subject_in(answer)) == (200, seeded.owner)


@pytest.mark.parametrize(("credential", "code"), [(None, "missing_token"), (NONSENSE, "invalid_token")])
def test_without_a_good_credential_nobody_comes_in(
    served: Served, certificate: Certificate, credential: str | None, code: str
) -> None:
    for version in served.server.versions:
        answer = ask(served, version, certificate, credential)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, code)
        assert answer.headers["www-authenticate"].startswith('Bearer realm="callcov"')


@pytest.mark.parametrize("served", cells(but=["MCP"]), indirect=True)
def test_a_lacking_scope_is_told_in_callcovs_form(
    served: Served, seeded: Seeded, certificate: Certificate
) -> None:
    for version in served.server.versions:
        lacks_write(ask(served, version, certificate, seeded.key, "/write"))


@pytest.mark.parametrize("served", cells(only=["MCP"]), indirect=True)
def test_a_tool_that_wants_a_scope_is_run_for_those_who_have_it_alone(
    served: Served, seeded: Seeded, certificate: Certificate
) -> None:
    with httpx2.Client(verify=certificate.client_context(), trust_env=False, timeout=30) as client:
        client.headers["Authorization"] = f"Bearer {seeded.write_key}"
        assert subject_in(call_tool(client, served.url, "/write/mcp", "write")) == seeded.owner
        client.headers["Authorization"] = f"Bearer {seeded.key}"
        lacks_write(call_tool(client, served.url, "/write/mcp", "write"))


def test_a_websocket_has_the_caller_and_a_stranger_has_none(
    served: Served, seeded: Seeded, certificate: Certificate
) -> None:
    tls = certificate.client_context()
    if served.framework.websockets:
        assert hear(served.url, "/talk", bearer(seeded.key), tls=tls)["subject"] == seeded.owner
    assert be_refused(served.url, "/talk", tls=tls).status in (401, 403)


@pytest.mark.parametrize("served", cells(only=["Two in one process"]), indirect=True)
def test_two_in_one_process_have_each_their_own_settings(
    served: Served, seeded: Seeded, certificate: Certificate
) -> None:
    version = served.server.versions[0]
    other = Served(served.url.replace("/live", "/test"), served.framework, served.server)
    statuses = [
        ask(part, version, certificate, key).status_code
        for part in (served, other)
        for key in (seeded.key, seeded.test_key)
    ]
    assert statuses == [200, 401, 401, 200]


def test_the_page_has_the_table_that_was_tried() -> None:
    text = PAGE.read_text("utf-8")
    assert written(text) == text


def test_the_page_has_a_part_for_each_framework() -> None:
    headings = re.findall(r"^## (.+)$", Path(PAGE).read_text("utf-8"), re.M)
    assert headings == [framework.name for framework in FRAMEWORKS]
