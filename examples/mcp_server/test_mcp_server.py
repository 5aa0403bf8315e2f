"""The MCP server as MCP's own client meets it."""

import json
import os
import secrets
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import httpx2
import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from examples.conftest import ROOT
from tests.support.curl import Reader, steps_of
from tests.support.servers import serve

README = Path(__file__).with_name("README.md")
ISSUER = "https://login.example.com"
METADATA = "/.well-known/oauth-protected-resource/mcp"


@asynccontextmanager
async def connected(url: str, credential: str) -> AsyncIterator[Client]:
    header = {"Authorization": f"Bearer {credential}"}
    async with (
        httpx2.AsyncClient(headers=header, trust_env=False) as http_client,
        Client(streamable_http_client(f"{url}/mcp", http_client=http_client)) as client,
    ):
        yield client


async def call(client: Client, tool: str, **arguments: str) -> tuple[bool | None, list[str]]:
    """Return whether a tool failed, and what it said."""
    answer = await client.call_tool(tool, arguments)
    return answer.is_error, [part.text for part in answer.content if part.type == "text"]


def ask(said: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    command = [sys.executable, "-m", "examples.mcp_server.ask", *arguments]
    return subprocess.run(
        command, cwd=ROOT, env=os.environ | said, capture_output=True, text=True, timeout=60
    )


def test_the_readmes_lines_answer_as_it_says(said: Mapping[str, str]) -> None:
    reader, steps = Reader(said), steps_of(README)
    assert [reader.type(step.line).status_code for step in steps] == [step.status for step in steps]
    assert len(steps) == 3


@pytest.mark.anyio
async def test_a_user_notes_calls_and_a_key_of_theirs_reads_them(said: Mapping[str, str], token: str) -> None:
    number = f"+41 {secrets.randbelow(10**9)}"
    async with connected(said["API"], token) as client:
        assert await call(client, "note_call", number=number) == (False, [f"Noted {number}"])
    async with connected(said["API"], said["CALLCOV_API_KEY"]) as client:
        assert {tool.name for tool in (await client.list_tools()).tools} == {"list_calls", "note_call"}
        failed, numbers = await call(client, "list_calls")
        assert (failed, numbers[-1]) == (False, number)


@pytest.mark.anyio
async def test_a_tool_is_not_run_for_who_lacks_its_scope(said: Mapping[str, str]) -> None:
    async with connected(said["API"], said["CALLCOV_API_KEY"]) as client:
        failed, told = await call(client, "note_call", number="+41 2")
        assert failed
        assert told == ["Error executing tool note_call: the credential lacks the scope calls:write"]
        _, numbers = await call(client, "list_calls")
        assert "+41 2" not in numbers


@pytest.mark.anyio
async def test_a_client_without_a_credential_that_is_good_is_not_connected(said: Mapping[str, str]) -> None:
    with pytest.RaisesGroup(MCPError, flatten_subgroups=True, allow_unwrapped=True):
        async with connected(said["API"], "nonsense"):
            pass


def test_the_program_lists_the_tools_and_calls_one(said: Mapping[str, str]) -> None:
    listed, refused = ask(said), ask(said, "note_call", "number=+41 3")
    assert listed.stdout.splitlines() == [
        "list_calls: List the numbers that were noted down.",
        "note_call: Note a number down.",
    ]
    assert (listed.returncode, refused.returncode) == (0, 1)
    assert refused.stdout.endswith("the credential lacks the scope calls:write\n")
    assert refused.stderr == ""


def test_without_an_issuer_there_is_no_metadata(said: Mapping[str, str]) -> None:
    assert httpx2.get(said["API"] + METADATA, trust_env=False).status_code == 404


def test_the_server_answers_to_its_own_name_alone(said: Mapping[str, str]) -> None:
    headers = {
        "Authorization": f"Bearer {said['CALLCOV_API_KEY']}",
        "Accept": "application/json, text/event-stream",
        "Host": "rebound.example",
    }
    call = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    assert httpx2.post(f"{said['API']}/mcp", json=call, headers=headers, trust_env=False).status_code == 421


@pytest.fixture(scope="module")
def issuers_key() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


@pytest.fixture
def trusting(issuers_key: ec.EllipticCurvePrivateKey, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The app's module, as it is imported in production, where an issuer is trusted."""
    public = json.loads(jwt.algorithms.ECAlgorithm.to_jwk(issuers_key.public_key()))
    trusted = {"issuer": ISSUER, "audience": "calls", "jwks": {"keys": [{**public, "kid": "1"}]}}
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", secrets.token_urlsafe(48))
    monkeypatch.setenv("CALLCOV_AUTH_DATABASE_URL", "sqlite://")
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "false")
    monkeypatch.setenv("CALLCOV_AUTH_TRUSTED_ISSUERS", json.dumps([trusted]))
    monkeypatch.setenv("PUBLIC_URL", "https://calls.example.com")
    yield import_module("examples.mcp_server.app")
    del sys.modules["examples.mcp_server.app"]


def test_the_metadata_names_the_issuers_whose_tokens_are_taken(
    trusting: Any, issuers_key: ec.EllipticCurvePrivateKey
) -> None:
    now = int(time.time())
    claims = {"iss": ISSUER, "aud": "calls", "sub": "ada", "iat": now, "exp": now + 60, "scope": "calls:read"}
    token = jwt.encode(claims, issuers_key, "ES256", {"kid": "1"})
    headers = {
        "Authorization": f"Bearer {token}",
        "Accept": "application/json, text/event-stream",
        "Host": "calls.example.com",
    }
    listing = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
    with serve(trusting.app) as url:
        metadata = httpx2.get(url + METADATA, trust_env=False).json()
        listed = httpx2.post(f"{url}/mcp", json=listing, headers=headers, trust_env=False)
    assert metadata["resource"] == "https://calls.example.com/mcp"
    assert metadata["authorization_servers"] == [ISSUER]
    assert metadata["scopes_supported"] == ["calls:read", "calls:write"]
    assert listed.status_code == 200
