"""``keys who``: whose a key is, from its text, which is never shown; and what is none of ours."""

import hashlib
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

import pytest

from callcov_auth import AuthSettings
from callcov_auth.keys import format as key_format
from tests.cli.running import EMAIL, add_user, run, run_json, with_auth

pytestmark = pytest.mark.usefixtures("installation")


@pytest.fixture(autouse=True)
def owner(installation: Path) -> str:
    return add_user(EMAIL, "calls:read", "calls:write")


def new_key(owner: str = EMAIL) -> tuple[str, str]:
    made = run_json("keys", "create", owner, "--name", "nightly", "--scope", "calls:read")
    return made["id"], made["api_key"]


def state_of(key: str) -> str:
    return str(run_json("keys", "who", stdin=key)["state"])


def test_a_key_from_standard_input_is_told_and_not_shown(owner: str) -> None:
    key_id, key = new_key()

    told = run_json("keys", "who", stdin=f"  {key}\n")

    created_at = told.pop("created_at")
    assert created_at.endswith("Z")
    assert told == {
        "id": key_id,
        "owner": owner,
        "email": EMAIL,
        "name": "nightly",
        "key_prefix": key[:14],
        "scopes": ["calls:read"],
        "last_used_at": None,
        "state": "active",
    }
    shown = run("keys", "who", stdin=key)
    assert shown.stdout.split()[:2] == ["id", key_id]
    assert key not in shown.output


@pytest.mark.parametrize(
    "line", ["API_KEY={}", 'key: "{}",', "Authorization: Bearer {}", "{} # ours"], ids=range(4)
)
def test_a_key_is_told_within_the_line_in_which_it_was_found(line: str) -> None:
    key_id, key = new_key()
    assert run_json("keys", "who", stdin=line.format(key))["id"] == key_id


def test_of_two_keys_in_a_line_none_is_taken() -> None:
    line = " ".join(key for _, key in (new_key(), new_key()))
    refused = run("keys", "who", stdin=line)
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: This is no key of ours")


def test_a_key_as_an_argument_is_told_with_a_warning() -> None:
    key_id, key = new_key()

    shown = run("keys", "who", key, "--json")

    assert json.loads(shown.stdout)["id"] == key_id
    assert "in your shell's history" in shown.stderr
    assert key not in shown.output


def test_every_state_is_told() -> None:
    add_user("bob@example.com", "calls:read")
    (active, key), (revoked, ended), (rotated, old) = new_key(), new_key(), new_key()
    _, others = new_key("bob@example.com")
    run("keys", "revoke", revoked)
    run("keys", "rotate", rotated, "--grace-seconds", "0")
    run("users", "disable", "bob@example.com")

    assert [state_of(text) for text in (key, ended, old, others)] == [
        "active",
        "revoked",
        "expired",
        "disabled",
    ]
    assert active


def test_asking_is_no_use_of_a_key_and_a_use_is_told() -> None:
    _, key = new_key()
    for _ in range(2):
        assert run_json("keys", "who", stdin=key)["last_used_at"] is None
    with_auth(lambda auth: auth.authenticate(f"Bearer {key}"))
    assert run_json("keys", "who", stdin=key)["last_used_at"] is not None


def test_asking_moves_no_key_to_a_newer_secret(monkeypatch: pytest.MonkeyPatch) -> None:
    key_id, key = new_key()
    old = os.environ["CALLCOV_AUTH_SECRET"]
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", secrets.token_urlsafe(48))
    monkeypatch.setenv("CALLCOV_AUTH_PREVIOUS_SECRETS", json.dumps([old]))

    for _ in range(2):
        assert run_json("keys", "who", stdin=key)["id"] == key_id
    (finding,) = json.loads(run("doctor", "--json").stdout)["findings"]
    assert "still need a previous secret" in finding["problem"]


def test_an_imported_key_is_told_whatever_its_form() -> None:
    digest = hashlib.sha256(b"sk_of_another_program").hexdigest()
    Path("keys.csv").write_text(f"owner,name,digest,kind\n{EMAIL},old,{digest},sha256\n")
    run_json("keys", "import", "keys.csv")
    assert run_json("keys", "who", stdin="sk_of_another_program")["name"] == "old"


@pytest.mark.parametrize(
    ("kind", "said", "next_step"),
    [
        ("stripe", "This is no key of ours", "'callcov-auth keys list --all'"),
        ("cut", "This is no key of ours", "'callcov-auth keys list --all'"),
        ("not ascii", "This is no key of ours", "'callcov-auth keys list --all'"),
        ("forged", "This key was not made with our secret", "'callcov-auth keys who' again"),
        ("elsewhere", "This key was made with our secret, and is not in this", "'callcov-auth doctor'"),
    ],
)
def test_what_is_no_stored_key_is_told_by_its_kind(kind: str, said: str, next_step: str) -> None:
    _, key = new_key()
    text = {
        "stripe": "sk_live_" + secrets.token_hex(12),
        "cut": key[:-1],
        "not ascii": key[:-1] + "é",
        "forged": key_format.mint(bytes(32), "live"),
        "elsewhere": key_format.mint(AuthSettings().key_mac_key, "live"),
    }[kind]

    refused = run("keys", "who", stdin=text)

    assert refused.exit_code == 1
    (line,) = refused.stderr.splitlines()
    assert line.startswith(f"error: {said}")
    assert next_step in line
    assert text[:15] not in refused.output


def test_nothing_is_a_usage_error() -> None:
    refused = run("keys", "who")
    assert refused.exit_code == 2
    assert refused.stderr == (
        "error: The API key is the first line of standard input, in UTF-8, and there is none: "
        "pipe it in, or run this at a terminal, where it is asked for.\n"
    )


def test_in_a_pipe_it_ends_as_a_process_does() -> None:
    _, key = new_key()
    command = [sys.executable, "-m", "callcov_auth", "keys", "who"]
    ended = subprocess.run(command, input=key, capture_output=True, text=True, timeout=60)
    assert ended.returncode == 0
    assert ended.stderr == ""
    assert key not in ended.stdout
