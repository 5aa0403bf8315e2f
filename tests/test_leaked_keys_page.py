"""What docs/leaked-keys.md shows is typed: from a key in a repository to the proof that it is dead."""

import re
from pathlib import Path

import httpx2
import pytest
import yaml
from starlette.applications import Starlette

from callcov_auth import Auth, AuthMiddleware, AuthSettings, auth_routes
from callcov_auth.cli.archives import MAX_LAYERS, MAX_UNPACKED_BYTES
from callcov_auth.keys.format import PREFIX_LENGTH
from tests.cli.conftest import folder, installation
from tests.cli.running import EMAIL, add_user, run, run_json
from tests.support.servers import serve

__all__ = ["folder", "installation"]

ROOT = Path(__file__).parents[1]
PAGE = (ROOT / "docs" / "leaked-keys.md").read_text("utf-8")
SHELL = "".join(re.findall(r"^```sh\n(.*?)^```$", PAGE, re.M | re.S))
CURLS = [line for line in SHELL.splitlines() if line.startswith("curl ")]


def test_the_way_from_the_find_to_the_proof(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REQUIRE_HTTPS", "false")
    add_user()
    made = run_json("keys", "create", EMAIL, "--name", "ci")
    key, key_id = made["api_key"], made["id"]
    (installation / ".env").write_text(f"# KEY={key}\n")
    (curl,) = CURLS
    address, header = re.findall(r'https://[^/]+(\S+)|-H "(.*?)"', curl)
    name, _, value = header[1].replace("$KEY", key).partition(": ")

    found = run("keys", "scan", ".")
    before = run_json("keys", "who", stdin=key)
    run("keys", "revoke", key_id)
    after = run_json("keys", "who", stdin=key)

    assert (found.exit_code, key_id in found.stdout) == (1, True)
    assert [told["state"] for told in (before, after)] == ["active", "revoked"]
    auth = Auth(AuthSettings())
    app = Starlette(routes=auth_routes(auth))
    app.add_middleware(AuthMiddleware, auth=auth)
    with serve(app) as url:
        answer = httpx2.get(url + address[0], headers={name: value})
    assert (answer.status_code, answer.json()["error"]["code"]) == (401, "token_revoked")


def test_the_bounds_are_those_of_the_code() -> None:
    text = " ".join(PAGE.split())
    assert MAX_UNPACKED_BYTES == 2**30
    assert "more than 1 GiB is given up" in text
    assert MAX_LAYERS == 6
    assert "up to six layers deep" in text
    assert f"the first {PREFIX_LENGTH} characters" in text


def test_the_hook_is_the_one_that_there_is() -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```$", PAGE, re.M | re.S)
    ((repository),) = yaml.safe_load(block)["repos"]
    hooks = yaml.safe_load((ROOT / ".pre-commit-hooks.yaml").read_text("utf-8"))
    assert [hook["id"] for hook in repository["hooks"]] == [hook["id"] for hook in hooks]
