"""The FastAPI app as its clients meet it."""

from collections.abc import Mapping
from pathlib import Path

import httpx2

from tests.support.curl import Reader, steps_of

README = Path(__file__).with_name("README.md")
CALL = {"number": "+41 44 668 18 00", "note": "Wants an offer"}


def test_the_readmes_lines_answer_as_it_says(said: Mapping[str, str]) -> None:
    reader, steps = Reader(said), steps_of(README)
    assert [reader.type(step.line).status_code for step in steps] == [step.status for step in steps]
    assert len(steps) == 6


def test_who_calls_is_told_by_key_and_by_token(by_key: httpx2.Client, by_token: httpx2.Client) -> None:
    key, token = by_key.get("/me").json(), by_token.get("/me").json()
    assert (key["kind"], token["kind"]) == ("api_key", "token")
    assert key["subject"] == token["subject"]
    assert key["scopes"] == token["scopes"] == ["calls:read", "calls:write"]


def test_a_call_is_read_back_and_another_is_not_found(by_key: httpx2.Client) -> None:
    made = by_key.post("/calls", json=CALL).json()
    assert by_key.get(f"/calls/{made['id']}").json() == {**CALL, "id": made["id"]}
    missing = by_key.get("/calls/another")
    assert (missing.status_code, missing.json()["error"]["code"]) == (404, "not_found")


def test_a_key_without_the_scope_is_told_which_one_it_lacks(
    said: Mapping[str, str], by_token: httpx2.Client
) -> None:
    made = by_token.post("/api/v1/api-keys/", json={"name": "reads", "scopes": ["calls:read"]}).json()
    header = {"Authorization": f"Bearer {made['api_key']}"}
    with httpx2.Client(base_url=said["API"], headers=header, trust_env=False) as client:
        assert client.get("/calls").status_code == 200
        refused = client.post("/calls", json=CALL)
        assert refused.status_code == 403
        assert refused.json()["error"]["details"] == {"required_scopes": ["calls:write"]}
        by_token.delete(f"/api/v1/api-keys/{made['id']}")
        assert client.get("/calls").json()["error"]["code"] == "token_revoked"


def test_openapi_says_who_may_call_what(said: Mapping[str, str]) -> None:
    paths = httpx2.get(f"{said['API']}/openapi.json", trust_env=False).json()["paths"]
    asked = {
        (method, path): [scope for scheme in operation["security"] for scope in scheme.get("login", [])]
        for path, operations in paths.items()
        for method, operation in operations.items()
        if path in ("/me", "/calls", "/calls/{call_id}")
    }
    assert asked == {
        ("get", "/me"): [],
        ("get", "/calls"): ["calls:read"],
        ("post", "/calls"): ["calls:write"],
        ("get", "/calls/{call_id}"): ["calls:read"],
    }
    assert "/api/v1/auth/login" in paths
    assert httpx2.get(f"{said['API']}/docs", trust_env=False).status_code == 200
