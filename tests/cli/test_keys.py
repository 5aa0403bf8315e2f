"""``keys``: what each command changes, seen by using the keys."""

import shlex
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from callcov_auth import Principal
from callcov_auth.cli import keys
from callcov_auth.cli.progress import Tell
from callcov_auth.errors import TokenExpired, TokenRevoked
from tests.cli.running import EMAIL, add_user, run, run_json, with_auth

pytestmark = pytest.mark.usefixtures("installation")


@pytest.fixture(autouse=True)
def owner(installation: object) -> str:
    return add_user(EMAIL, "calls:read", "calls:write")


def use(key: str) -> Principal:
    return with_auth(lambda auth: auth.authenticate(f"Bearer {key}"))


@pytest.mark.parametrize("by", ["email", "id"])
def test_a_created_key_works_for_its_owner(by: str, owner: str) -> None:
    created = run_json("keys", "create", EMAIL if by == "email" else owner, "--name", "ci")

    principal = use(created["api_key"])
    assert (principal.subject, principal.key_id) == (owner, created["id"])
    assert principal.scopes == {"calls:read", "calls:write"}, "all of the owner's, where none are named"


def test_a_key_is_as_the_options_say() -> None:
    options = ("--scope", "calls:read", "--environment", "test", "--segment", "dev", "--expires-in-days", "7")
    created = run_json("keys", "create", EMAIL, "--name", "ci", *options)

    principal = use(created["api_key"])
    assert created["api_key"].startswith("sk_test_dev_")
    assert (principal.environment, principal.segment, principal.scopes) == ("test", "dev", {"calls:read"})
    assert created["name"] == "ci"
    assert created["expires_at"][:4].isdecimal()


def test_the_key_is_shown_this_once() -> None:
    shown = run("keys", "create", EMAIL, "--name", "ci")
    key = next(line.split()[1] for line in shown.stdout.splitlines() if line.startswith("api_key"))
    key_id = shown.stdout.split()[1]

    assert "it is not shown again" in shown.stderr
    assert use(key).key_id == key_id
    later = [
        run("keys", "list", "--all"),
        run("keys", "list", "--json"),
        run("keys", "revoke", key_id, "--json"),
    ]
    assert not any(key in result.output for result in later)


def test_scopes_beyond_the_owners_are_refused() -> None:
    refused = run("keys", "create", EMAIL, "--name", "ci", "--scope", "admin", "--scope", "calls:read")

    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: The owner lacks admin: mend a slip, or give it with: ")


def test_the_command_that_gives_a_lacking_scope_takes_none_away() -> None:
    refused = run("keys", "create", EMAIL, "--name", "ci", "--scope", "admin:*")
    command = shlex.split(refused.stderr.partition(" with: ")[2])

    assert run(*command[1:]).exit_code == 0
    assert run_json("keys", "create", EMAIL, "--name", "ci")["scopes"] == [
        "admin:*",
        "calls:read",
        "calls:write",
    ]


def test_nobody_is_told_to_give_a_scope_that_was_not_meant() -> None:
    refused = run("keys", "create", EMAIL, "--name", "ci", "--scope", "calls:read,calls:write")
    assert refused.exit_code == 1
    assert refused.stderr.splitlines()[-1] == (
        "error: The owner lacks a scope with a comma in it: give --scope once for each"
    )


def test_scopes_with_a_comma_between_are_told_to_be_one() -> None:
    joined = run("users", "set-scopes", EMAIL, "--scope", "calls:read,calls:write")
    apart = run("users", "set-scopes", EMAIL, "--scope", "calls:read", "--scope", "calls:write")

    assert joined.stderr == "note: with a comma in it, it is one scope; for several, give --scope again\n"
    assert (joined.exit_code, apart.exit_code, apart.stderr) == (0, 0, "")


@pytest.mark.parametrize(
    ("option", "value", "field"),
    [
        ("--environment", "staging", "environment"),
        ("--segment", "No", "segment"),
        ("--expires-in-days", "0", "expires_in_days"),
        ("--scope", "two words", "scopes.0"),
    ],
)
def test_what_cannot_be_a_key_is_a_usage_error(option: str, value: str, field: str) -> None:
    refused = run("keys", "create", EMAIL, "--name", "ci", option, value)

    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {field}: ")
    assert run_json("keys", "list", "--all") == {"api_keys": []}


@pytest.mark.parametrize("owner_given", ["nobody@example.com", "usr_nobody"])
def test_a_key_has_an_owner(owner_given: str) -> None:
    refused = run("keys", "create", owner_given, "--name", "ci")

    assert refused.exit_code == 1
    assert "'callcov-auth users list' shows" in refused.stderr


def test_a_disabled_owner_gets_no_key() -> None:
    run("users", "disable", EMAIL)

    refused = run("keys", "create", EMAIL, "--name", "ci")

    assert refused.exit_code == 1
    assert "who is disabled" in refused.stderr


def test_keys_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_MAX_ACTIVE_KEYS", "1")
    run_json("keys", "create", EMAIL, "--name", "first")

    refused = run("keys", "create", EMAIL, "--name", "second")

    assert refused.exit_code == 1
    assert "'callcov-auth keys revoke KEY_ID' ends one" in refused.stderr


def test_the_list_has_the_keys_that_work_and_with_all_the_others_too() -> None:
    ended, working = (run_json("keys", "create", EMAIL, "--name", name)["id"] for name in ("ended", "works"))
    run("keys", "revoke", ended)

    assert [key["id"] for key in run_json("keys", "list")["api_keys"]] == [working]
    assert [key["id"] for key in run_json("keys", "list", "--all")["api_keys"]] == [working, ended]


def test_the_list_can_be_one_owners(owner: str) -> None:
    other = add_user("bob@example.com")
    for whose in (owner, other):
        run_json("keys", "create", whose, "--name", "ci")

    assert [key["owner"] for key in run_json("keys", "list")["api_keys"]] == [other, owner]
    assert [key["owner"] for key in run_json("keys", "list", "--owner", EMAIL)["api_keys"]] == [owner]
    assert [key["owner"] for key in run_json("keys", "list", "--owner", other)["api_keys"]] == [other]
    assert run("keys", "list", "--owner", "nobody@example.com").exit_code == 1


def test_the_list_goes_on_past_the_first_page(owner: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_MAX_ACTIVE_KEYS", "500")

    async def make(auth) -> list[str]:
        return [(await auth.keys.create(owner, name="ci")).id for _ in range(201)]

    told: list[tuple[int, int | None]] = []

    @contextmanager
    def progress(_what: str) -> Iterator[Tell]:
        yield lambda more, total: told.append((more, total))

    monkeypatch.setattr(keys, "progress", progress)
    made = with_auth(make)
    listed = run_json("keys", "list")["api_keys"]
    assert [key["id"] for key in listed] == made[::-1]
    assert told == [(200, 201), (1, 201)]


def test_the_table_shows_what_a_person_looks_for() -> None:
    created = run_json("keys", "create", EMAIL, "--name", "nightly job")

    heading, line = run("keys", "list").stdout.splitlines()

    assert heading.split()[:4] == ["id", "owner", "name", "key_prefix"]
    assert line.startswith(created["id"])
    assert "nightly job" in line
    assert created["key_prefix"] in line
    assert line.endswith("no"), "rotation is not due"


def test_a_revoked_key_is_refused_and_a_second_time_changes_nothing() -> None:
    created = run_json("keys", "create", EMAIL, "--name", "ci")

    first, second = (run_json("keys", "revoke", created["id"])["revoked_at"] for _ in range(2))

    assert first is not None
    assert first == second
    with pytest.raises(TokenRevoked):
        use(created["api_key"])


def test_a_rotated_key_works_beside_the_new_one_until_its_grace_ends() -> None:
    old = run_json("keys", "create", EMAIL, "--name", "ci", "--scope", "calls:read")
    new = run_json("keys", "rotate", old["id"])

    assert new["api_key"] != old["api_key"]
    assert (new["name"], new["scopes"]) == ("ci", ["calls:read"])
    assert use(old["api_key"]).key_id == old["id"]
    assert use(new["api_key"]).key_id == new["id"]


def test_without_grace_the_old_key_ends_now() -> None:
    old = run_json("keys", "create", EMAIL, "--name", "ci")
    new = run_json("keys", "rotate", old["id"], "--grace-seconds", "0")

    assert use(new["api_key"]).key_id == new["id"]
    with pytest.raises(TokenExpired):
        use(old["api_key"])


def test_a_key_that_ended_cannot_be_rotated() -> None:
    key_id = run_json("keys", "create", EMAIL, "--name", "ci")["id"]
    run("keys", "revoke", key_id)

    refused = run("keys", "rotate", key_id)

    assert refused.exit_code == 1
    assert "make a new one with 'callcov-auth keys create'" in refused.stderr


@pytest.mark.parametrize("command", ["revoke", "rotate"])
def test_an_unknown_key_is_refused(command: str) -> None:
    refused = run("keys", command, "key_unknown")

    assert refused.exit_code == 1
    assert (
        refused.stderr == "error: There is no such API key: 'callcov-auth keys list --all' shows them all\n"
    )


def test_what_users_wrote_cannot_steer_the_terminal(owner: str) -> None:
    hostile = "\x1b[2Jgone\nid  key_forged"
    key = with_auth(lambda auth: auth.keys.create(owner, name="ci", description=hostile))

    shown = run("keys", "rotate", key.id).stdout

    assert "\\x1b[2Jgone\\nid  key_forged" in shown
    assert "\x1b" not in shown
