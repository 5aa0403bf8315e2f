"""The demo's app: what CallCov's API looks like from outside."""

import json
import ssl
import stat
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import anyio
import httpx2
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect

from callcov_auth import Auth
from callcov_auth.demo.app import demo_app
from callcov_auth.demo.certificate import make_certificate
from callcov_auth.demo.settings import PASSWORD, add_users, demo_settings
from tests.support.servers import serve

READ = "analysis:read"
WRITE = "analysis:write"


@dataclass(frozen=True)
class Demo:
    client: httpx2.Client
    token: str

    def key(self, *scopes: str) -> dict[str, str]:
        """Make a key with these scopes and return the header that carries it."""
        body = {"name": "Test", "scopes": list(scopes)}
        created = self.client.post("/api/v1/api-keys/", json=body, headers={"Authorization": self.token})
        return {"Authorization": f"Bearer {created.json()['api_key']}"}

    @property
    def live(self) -> str:
        return str(self.client.base_url.copy_with(scheme="ws", path="/api/v1/analysis/live"))


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Demo]:
    settings = demo_settings(tmp_path_factory.mktemp("app")).replace(max_active_keys=100)
    anyio.run(add_users, Auth(settings), "user@example.com")
    with (
        serve(demo_app(Auth(settings))) as base_url,
        httpx2.Client(base_url=base_url, trust_env=False) as client,
    ):
        login = {"email": "user@example.com", "password": PASSWORD}
        token = client.post("/api/v1/auth/login", json=login).json()["access_token"]
        yield Demo(client, f"Bearer {token}")


@pytest.mark.parametrize("path", ["/health", "/docs", "/redoc", "/openapi.json"])
def test_a_public_path_needs_no_credential(demo: Demo, path: str) -> None:
    assert demo.client.get(path).status_code == 200


@pytest.mark.parametrize("path", ["/api/v1/analysis/", "/api/v1/users/me", "/", "/nowhere", "/health/"])
def test_every_other_path_does(demo: Demo, path: str) -> None:
    answer = demo.client.get(path)
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "missing_token")


@pytest.mark.parametrize(
    ("scope", "method", "status"),
    [(READ, "GET", 200), (WRITE, "GET", 403), (READ, "POST", 403), (WRITE, "POST", 202)],
)
def test_reading_and_writing_need_a_scope_each(demo: Demo, scope: str, method: str, status: int) -> None:
    body = {"json": {"call": "call_1"}} if method == "POST" else {}
    answer = demo.client.request(method, "/api/v1/analysis/", headers=demo.key(scope), **body)
    assert answer.status_code == status


def test_the_analyses_say_who_asked(demo: Demo) -> None:
    asked_by = demo.client.get("/api/v1/analysis/", headers={"Authorization": demo.token}).json()["asked_by"]
    me = demo.client.get("/api/v1/users/me", headers={"Authorization": demo.token}).json()
    assert asked_by == {"subject": me["id"], "kind": "token", "environment": None, "segment": None}


def test_a_started_analysis_names_its_call(demo: Demo) -> None:
    answer = demo.client.post("/api/v1/analysis/", headers=demo.key(WRITE), json={"call": "call_1"})
    assert answer.json()["call"] == "call_1"
    assert answer.json()["status"] == "queued"


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "fields"),
    [
        ("", b"{", 400, "malformed_json", None),
        ("", b'{"call": "\xff"}', 400, "malformed_json", None),
        ("", b'{"call": 7}', 422, "validation_error", {"call"}),
        ("", b"", 422, "validation_error", {"body"}),
        ("elsewhere", b"{}", 404, "not_found", None),
    ],
)
def test_what_it_cannot_take_is_refused_in_the_form_of_all_refusals(
    demo: Demo, path: str, body: bytes, status: int, code: str, fields: set[str] | None
) -> None:
    headers = {"Authorization": demo.token, "Content-Type": "application/json"}
    answer = demo.client.post(f"/api/v1/analysis/{path}", headers=headers, content=body)
    error = answer.json()["error"]
    assert (answer.status_code, error["code"]) == (status, code)
    assert set(error.get("details", {}).get("fields", {})) == (fields or set())


def test_the_websocket_sends_the_analyses_to_a_reader(demo: Demo) -> None:
    with connect(demo.live, additional_headers=demo.key(READ), proxy=None) as websocket:
        message = json.loads(websocket.recv(10))
    assert message["asked_by"]["kind"] == "api_key"


@pytest.mark.parametrize(("scope", "status"), [(WRITE, 403), (None, 401)])
def test_the_websocket_refuses_everybody_else(demo: Demo, scope: str | None, status: int) -> None:
    headers = demo.key(scope) if scope else {}
    with pytest.raises(InvalidStatus) as refusal, connect(demo.live, additional_headers=headers, proxy=None):
        pass
    assert refusal.value.response.status_code == status


def test_a_path_without_its_slash_is_never_a_redirect(demo: Demo) -> None:
    answer = demo.client.get("/api/v1/analysis", headers={"Authorization": demo.token})
    assert answer.status_code == 404


def test_openapi_describes_the_analyses_and_the_authentication(demo: Demo) -> None:
    paths = demo.client.get("/openapi.json").json()["paths"]
    assert set(paths["/api/v1/analysis/"]) == {"get", "post"}
    assert {"/health", "/api/v1/auth/login", "/api/v1/api-keys/"} <= set(paths)


def test_its_certificate_stands_the_strictest_check(tmp_path: Path) -> None:
    made = make_certificate(tmp_path)
    strict = ssl.create_default_context(cafile=made.certificate)
    strict.verify_flags |= ssl.VERIFY_X509_STRICT
    app = demo_app(Auth(demo_settings(tmp_path).replace(require_https=True)))
    with serve(app, ssl_certfile=made.certificate, ssl_keyfile=made.key) as url:
        assert httpx2.get(f"{url}/health", verify=strict, trust_env=False).status_code == 200


def test_only_its_owner_can_read_the_certificates_key(tmp_path: Path) -> None:
    assert stat.S_IMODE(make_certificate(tmp_path).key.stat().st_mode) == 0o600


def test_its_openapi_says_who_may_call_a_route_and_whom_it_refuses(demo: Demo) -> None:
    document = demo.client.get("/openapi.json", headers=demo.key(READ)).json()
    started = document["paths"]["/api/v1/analysis/"]["post"]
    assert started["security"] == [{"bearer": [WRITE]}, {"login": [WRITE]}]
    assert {"401", "403", "503"} < set(started["responses"])


def test_swagger_ui_logs_in_as_it_is_told_in_the_openapi(demo: Demo) -> None:
    document = demo.client.get("/openapi.json", headers=demo.key(READ)).json()
    flow = document["components"]["securitySchemes"]["login"]["flows"]["password"]
    address = demo.client.base_url.join("/docs").join(flow["tokenUrl"])
    form = {"grant_type": "password", "username": "user@example.com", "password": PASSWORD}
    answer = demo.client.post(address, data=form, auth=("", ""))
    bearer = {"Authorization": f"Bearer {answer.json()['access_token']}"}
    assert demo.client.get("/api/v1/analysis/", headers=bearer).status_code == 200
