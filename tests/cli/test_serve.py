"""``serve``: a real process on a real socket, from its first line to its last."""

import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from tests.cli.running import EMAIL, PASSWORD, TIMEOUT, add_user, run, run_json
from tests.support.polling import eventually_in_thread
from tests.support.tls import Certificate, make_certificate

LOCAL = {"CALLCOV_AUTH_REQUIRE_HTTPS": "false"}
LOGIN = {"email": EMAIL, "password": PASSWORD}

pytestmark = pytest.mark.usefixtures("installation")


@dataclass(frozen=True)
class Served:
    """A running ``callcov-auth serve``."""

    url: str
    process: subprocess.Popen[bytes]
    output: Path

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(TIMEOUT)

    def said(self) -> str:
        return self.output.read_text()


@contextmanager
def serve(folder: Path, *arguments: str, **env: str) -> Iterator[Served]:
    output = folder / "output"
    command = [sys.executable, "-m", "callcov_auth", "serve", "--port", "0", *arguments]
    with output.open("wb") as file:
        process = subprocess.Popen(command, stdout=file, stderr=file, env={**os.environ, **env})
    try:
        yield Served(listening(process, output), process, output)
    finally:
        process.kill()
        process.wait(TIMEOUT)


def listening(process: subprocess.Popen[bytes], output: Path) -> str:
    """Return the address that the server says it listens on."""
    deadline = time.monotonic() + TIMEOUT
    while time.monotonic() < deadline and process.poll() is None:
        running = re.search(r"running on (https?://127\.0\.0\.1:\d+)", output.read_text())
        if running is not None:
            return running[1]
        time.sleep(0.02)
    raise AssertionError(f"the server did not start: {output.read_text()}")


@pytest.fixture
def certificate(tmp_path: Path) -> Certificate:
    return make_certificate(tmp_path)


def test_login_keys_and_refusals_go_over_the_wire(tmp_path: Path) -> None:
    user_id = add_user(EMAIL, "calls:read")
    with serve(tmp_path, **LOCAL) as served, httpx2.Client(base_url=f"{served.url}/api/v1") as client:
        pair = client.post("/auth/login", json=LOGIN).json()
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        me = client.get("/users/me", headers=bearer)
        created = client.post("/api-keys/", headers=bearer, json={"name": "ci"})
        stranger = client.get("/users/me")
        nowhere = client.get("/nowhere", headers=bearer)

    assert (me.status_code, me.json()["id"]) == (200, user_id)
    assert (created.status_code, created.json()["scopes"]) == (201, ["calls:read"])
    assert (stranger.status_code, stranger.json()["error"]["code"]) == (401, "missing_token")
    assert (nowhere.status_code, nowhere.json()["error"]["code"]) == (404, "not_found")


def test_sigterm_stops_it_gracefully_and_nothing_pending_is_lost(tmp_path: Path) -> None:
    add_user()
    key = run_json("keys", "create", EMAIL, "--name", "ci")
    # So long that only the stop writes when the key was last used.
    quiet = {**LOCAL, "CALLCOV_AUTH_REVOCATION_INTERVAL": "60"}
    with serve(tmp_path, **quiet) as served:
        answer = httpx2.get(
            f"{served.url}/api/v1/users/me", headers={"Authorization": f"Bearer {key['api_key']}"}
        )
        before = run_json("keys", "list")["api_keys"][0]["last_used_at"]
        exit_code = served.stop()

    assert answer.status_code == 403, "the key is genuine, and a token is needed there"
    assert before is None
    assert run_json("keys", "list")["api_keys"][0]["last_used_at"] is not None
    assert exit_code == -signal.SIGTERM, "as a process ends that was told to"
    assert "Application shutdown complete" in served.said()
    assert "Traceback" not in served.said()


def test_sigterm_lets_a_request_that_is_under_way_end(tmp_path: Path) -> None:
    add_user()
    # A password takes a second to hash, and is not hashed yet when the signal comes.
    slow = {
        **LOCAL,
        "CALLCOV_AUTH_PASSWORD_TIME_COST": "20",
        "CALLCOV_AUTH_PASSWORD_MEMORY_KIB": "65536",
    }
    with serve(tmp_path, **slow) as served, ThreadPoolExecutor() as pool:
        login = pool.submit(httpx2.post, f"{served.url}/api/v1/auth/login", json=LOGIN, timeout=TIMEOUT)
        other = pool.submit(
            httpx2.post, f"{served.url}/api/v1/auth/login", json={**LOGIN, "password": "no"}, timeout=TIMEOUT
        )
        eventually_in_thread(lambda: connections_to(served.url) == 2)
        exit_code = served.stop()
        answers = [login.result().status_code, other.result().status_code]

    assert answers == [200, 401]
    assert exit_code == -signal.SIGTERM


def connections_to(url: str) -> int:
    """How many connections are established with the server at ``url``, seen from its end."""
    port = f":{int(url.rpartition(':')[2]):04X}"
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(line.split()[1].endswith(port) and line.split()[3] == "01" for line in lines)


def test_health_is_told_to_whoever_asks(tmp_path: Path) -> None:
    add_user()
    # Over plain HTTP, where everything else is refused.
    with serve(tmp_path) as served, httpx2.Client(base_url=served.url) as client:
        answers = [client.get(path) for path in ("/health/live", "/health/ready")]
        refused = client.get("/health")

    assert [(answer.status_code, answer.json()) for answer in answers] == [(200, {"status": "ok"})] * 2
    assert refused.json()["error"]["code"] == "https_required"


def test_a_store_that_is_gone_makes_it_unready_and_not_dead(tmp_path: Path) -> None:
    add_user()
    database = Path.cwd() / "callcov_auth.db"
    with serve(tmp_path, **LOCAL) as served, httpx2.Client(base_url=served.url) as client:
        assert client.get("/health/ready").status_code == 200
        content = database.read_bytes()
        database.write_bytes(b"no database" * 1000)
        eventually_in_thread(lambda: client.get("/health/ready").status_code == 503)
        assert client.get("/health/live").status_code == 200
        database.write_bytes(content)
        eventually_in_thread(lambda: client.get("/health/ready").status_code == 200)


def test_its_log_tells_what_happened_and_holds_no_secret(tmp_path: Path) -> None:
    user_id = add_user()
    with serve(tmp_path, **LOCAL) as served, httpx2.Client(base_url=f"{served.url}/api/v1") as client:
        pair = client.post("/auth/login", json=LOGIN).json()
        client.post("/auth/login", json={"email": EMAIL, "password": "a wrong password"})
        bearer = {"Authorization": f"Bearer {pair['access_token']}"}
        key = client.post("/api-keys/", headers=bearer, json={"name": "ci"}).json()["api_key"]
        client.get("/users/me", params={"access_token": pair["access_token"]})
        client.get("/users/me", headers={"Authorization": f"Bearer {key}x"})
        served.stop()

    said = served.said()
    assert f"logged_in user_id='{user_id}'" in said
    assert "login_failed reason='wrong_password'" in said
    assert "refused code='missing_token'" in said
    secrets = [PASSWORD, "a wrong password", pair["access_token"], pair["refresh_token"], key]
    assert not any(secret in said for secret in [*secrets, os.environ["CALLCOV_AUTH_SECRET"]])


def test_plain_http_is_refused_and_the_operator_warned(tmp_path: Path) -> None:
    add_user()
    # The server's own belief in the header of a neighbour would let this through.
    forged = {"X-Forwarded-Proto": "https"}
    with serve(tmp_path) as served:
        refused = [
            httpx2.post(f"{served.url}/api/v1/auth/login", json=LOGIN, headers=headers)
            for headers in ({}, forged)
        ]

    assert [answer.json()["error"]["code"] for answer in refused] == ["https_required"] * 2
    assert "warning: every request will be refused" in served.said()


def test_a_trusted_proxy_is_believed(tmp_path: Path) -> None:
    add_user()
    with serve(tmp_path, CALLCOV_AUTH_TRUSTED_PROXIES="127.0.0.1") as served:
        forwarded = httpx2.post(
            f"{served.url}/api/v1/auth/login", json=LOGIN, headers={"X-Forwarded-Proto": "https"}
        )

    assert forwarded.status_code == 200
    assert "warning" not in served.said()


def test_it_serves_https_itself(tmp_path: Path, certificate: Certificate) -> None:
    add_user()
    files = ("--ssl-certfile", str(certificate.certfile), "--ssl-keyfile", str(certificate.keyfile))
    with serve(tmp_path, *files) as served:
        answer = httpx2.post(
            f"{served.url}/api/v1/auth/login", json=LOGIN, verify=certificate.client_context()
        )

    assert served.url.startswith("https://")
    assert answer.status_code == 200
    assert "warning" not in served.said()


def test_half_a_certificate_is_a_usage_error(certificate: Certificate) -> None:
    refused = run("serve", "--ssl-certfile", str(certificate.certfile))

    assert refused.exit_code == 2
    assert refused.stderr == "error: --ssl-certfile and --ssl-keyfile go together: give both, or neither.\n"


@pytest.mark.parametrize("keyfile", ["missing.pem", "not_a_key.pem"])
def test_a_certificate_that_cannot_be_used_is_a_usage_error(
    certificate: Certificate, tmp_path: Path, keyfile: str
) -> None:
    (tmp_path / "not_a_key.pem").write_text("not a key\n")

    refused = run(
        "serve", "--ssl-certfile", str(certificate.certfile), "--ssl-keyfile", str(tmp_path / keyfile)
    )

    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: The certificate and its key cannot be used")


def test_without_uvicorn_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "uvicorn", None)

    refused = run("serve")

    assert refused.exit_code == 2
    assert refused.stderr == "error: uvicorn is not installed: pip install 'callcov-auth[server]'\n"


def test_an_address_that_cannot_be_used_is_a_usage_error() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = run("serve", "--port", str(port))
    elsewhere = run("serve", "--host", "192.0.2.1")

    assert (refused.exit_code, elsewhere.exit_code) == (2, 2)
    assert refused.stderr == (
        f"error: Port {port} of 127.0.0.1 cannot be used (Address already in use): "
        "name another with --port or --host.\n"
    )
    assert "name another with --port or --host" in elsewhere.stderr
