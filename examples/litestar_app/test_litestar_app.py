"""The Litestar app as its clients meet it."""

from collections.abc import Mapping
from pathlib import Path

import httpx2

from tests.support.curl import Reader, steps_of

README = Path(__file__).with_name("README.md")
CALL = {"number": "+41 44 668 18 00", "note": "Wants an offer"}


def test_the_readmes_lines_answer_as_it_says(said: Mapping[str, str]) -> None:
    reader, steps = Reader(said), steps_of(README)
    assert [reader.type(step.line).status_code for step in steps] == [step.status for step in steps]
    assert len(steps) == 5


def test_a_call_is_read_back_by_whoever_owns_it(by_key: httpx2.Client, by_token: httpx2.Client) -> None:
    made = by_key.post("/calls", json=CALL).json()
    assert by_token.get(f"/calls/{made['id']}").json() == {**CALL, "id": made["id"]}
    assert made in by_token.get("/calls").json()


def test_a_handlers_own_refusal_has_the_form_of_the_others(by_key: httpx2.Client) -> None:
    missing = by_key.get("/calls/another")
    error = missing.json()["error"]
    assert (missing.status_code, error["code"]) == (404, "not_found")
    assert error["request_id"] == missing.headers["x-request-id"]


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
        assert by_token.delete(f"/api/v1/api-keys/{made['id']}").status_code == 200
        assert client.get("/calls").json()["error"]["code"] == "token_revoked"


def test_the_mounted_routes_answer_on_their_own_paths_alone(said: Mapping[str, str]) -> None:
    login = {"email": said["EMAIL"], "password": "another password"}
    wrong = httpx2.post(f"{said['API']}/api/v1/auth/login", json=login, trust_env=False)
    assert (wrong.status_code, wrong.json()["error"]["code"]) == (401, "invalid_credentials")
    assert httpx2.get(f"{said['API']}/auth/login", trust_env=False).status_code == 401


def test_openapi_is_open_and_says_how_to_send_the_credential(said: Mapping[str, str]) -> None:
    document = httpx2.get(f"{said['API']}/schema/openapi.json", trust_env=False).json()
    assert set(document["paths"]) == {"/calls", "/calls/{call_id}"}
    assert document["security"] == [{"bearer": []}]
    assert document["components"]["securitySchemes"]["bearer"]["scheme"] == "bearer"
