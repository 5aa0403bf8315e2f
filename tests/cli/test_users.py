"""``users``: what each command changes, seen by logging in."""

from pathlib import Path

import pytest

from callcov_auth.errors import InvalidCredentials, TokenRevoked
from callcov_auth.tokens.issuer import TokenPair
from tests.cli.running import EMAIL, PASSWORD, add_user, run, run_json, with_auth

pytestmark = pytest.mark.usefixtures("installation")


def login(email: str = EMAIL, password: str = PASSWORD) -> TokenPair:
    return with_auth(lambda auth: auth.tokens.login(email, password))


def test_an_added_user_can_log_in() -> None:
    added = run_json("users", "add", "Ada@Example.com", "--scope", "b", "--scope", "a:*", stdin=PASSWORD)

    assert added["email"] == EMAIL
    assert added["scopes"] == ["a:*", "b"]
    assert added["disabled_at"] is None
    assert added["created_at"].endswith("Z")
    token = login().access_token.get_secret_value()
    principal = with_auth(lambda auth: auth.authenticate(f"Bearer {token}"))
    assert (principal.subject, principal.scopes) == (added["id"], {"a:*", "b"})


def test_the_password_is_the_first_line_and_not_the_end_of_it() -> None:
    run("users", "add", EMAIL, stdin=f"  {PASSWORD} \r\nanother line\n")

    assert login(password=f"  {PASSWORD} ").expires_in == 1800


@pytest.mark.parametrize("stdin", ["", "\n", b"\xff\xfe not UTF-8\n"], ids=["nothing", "empty", "not utf-8"])
def test_without_a_password_nobody_is_added(stdin: str | bytes) -> None:
    refused = run("users", "add", EMAIL, stdin=stdin)

    assert refused.exit_code == 2
    assert "the first line of standard input" in refused.stderr
    assert run_json("users", "list") == {"users": []}


def test_a_password_too_short_is_refused_and_not_shown() -> None:
    refused = run("users", "add", EMAIL, stdin="hunter2\n")

    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: password: ")
    assert "hunter2" not in refused.output


def test_an_email_is_taken_once() -> None:
    add_user()

    refused = run("users", "add", EMAIL.upper(), stdin=PASSWORD)

    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: A user with this email exists: change the user with")


def test_the_list_is_a_table_or_a_document() -> None:
    ada, bob = add_user("ada@example.com", "calls:read"), add_user("bob@example.com")
    run("users", "disable", "bob@example.com")

    heading, *lines = run("users", "list").stdout.splitlines()
    documents = run_json("users", "list")["users"]

    assert heading.split() == ["id", "email", "scopes", "created_at", "disabled_at"]
    assert [line.split()[:3] for line in lines] == [
        [ada, "ada@example.com", "calls:read"],
        [bob, "bob@example.com", "-"],
    ]
    assert [line.split()[4] == "-" for line in lines] == [True, False]
    assert [(user["id"], user["disabled_at"] is None) for user in documents] == [(ada, True), (bob, False)]


def test_no_hash_is_ever_shown() -> None:
    add_user()

    assert "argon2" not in run("users", "list").output + run("users", "list", "--json").output


def test_a_disabled_user_is_refused_until_enabled_again() -> None:
    add_user()

    disabled = run_json("users", "disable", EMAIL)

    assert disabled["disabled_at"] is not None
    with pytest.raises(InvalidCredentials):
        login()

    assert run_json("users", "enable", EMAIL)["disabled_at"] is None
    assert login().expires_in == 1800


def test_a_new_password_takes_the_old_ones_place_and_ends_the_sessions() -> None:
    add_user()
    before = login().refresh_token.get_secret_value()

    run_json("users", "set-password", EMAIL, stdin="another long password\n")

    assert login(password="another long password").expires_in == 1800
    with pytest.raises(InvalidCredentials):
        login()
    with pytest.raises(TokenRevoked):
        with_auth(lambda auth: auth.tokens.refresh(before))


@pytest.mark.parametrize(
    ("given", "scopes"), [(["--scope", "c", "--scope", "b"], ["b", "c"]), ([], [])], ids=["two", "none"]
)
def test_scopes_are_set_in_the_place_of_the_old(given: list[str], scopes: list[str]) -> None:
    add_user(EMAIL, "a")

    assert run_json("users", "set-scopes", EMAIL, *given)["scopes"] == scopes
    assert run_json("users", "list")["users"][0]["scopes"] == scopes


def test_a_malformed_scope_is_refused() -> None:
    add_user()

    refused = run("users", "set-scopes", EMAIL, "--scope", "two words")

    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: scopes.0: ")


@pytest.mark.parametrize("command", ["disable", "enable", "set-password", "set-scopes"])
def test_an_unknown_user_cannot_be_changed(command: str) -> None:
    add_user()
    refused = run("users", command, "nobody@example.com", stdin=PASSWORD)

    assert refused.exit_code == 1
    assert refused.stderr == (
        "error: There is no user with this email: 'callcov-auth users list' shows them all\n"
    )


def test_people_get_aligned_lines() -> None:
    shown = run("users", "add", EMAIL, "--scope", "a", stdin=PASSWORD).stdout.splitlines()

    assert [line.split()[0] for line in shown] == ["id", "email", "scopes", "created_at", "disabled_at"]
    assert shown[1:3] == [f"email        {EMAIL}", "scopes       a"]


def test_the_commands_leave_the_database_where_the_settings_say(installation: Path) -> None:
    add_user()

    assert (installation / "callcov_auth.db").exists()


def test_sessions_are_listed_and_all_ended() -> None:
    user_id = add_user()
    add_user("bob@example.com")
    pairs = [login(), login()]
    bobs = login("bob@example.com")

    documents = run_json("users", "sessions", EMAIL)["sessions"]
    heading, *lines = run("users", "sessions", EMAIL).stdout.splitlines()

    assert [set(session) for session in documents] == [{"id", "created_at", "expires_at", "refreshed_at"}] * 2
    assert all(session["expires_at"].endswith("Z") for session in documents)
    assert heading.split() == ["id", "created_at", "expires_at", "refreshed_at"]
    assert [line.split()[0] for line in lines] == [session["id"] for session in documents]

    assert run_json("users", "logout", EMAIL)["id"] == user_id
    assert run_json("users", "sessions", EMAIL) == {"sessions": []}
    for pair in pairs:
        with pytest.raises(TokenRevoked):
            with_auth(lambda auth, pair=pair: auth.tokens.refresh(pair.refresh_token.get_secret_value()))
    assert (
        with_auth(lambda auth: auth.tokens.refresh(bobs.refresh_token.get_secret_value())).expires_in == 1800
    )


def test_when_a_session_was_refreshed_last_is_shown_where_tokens_rotate(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    add_user()
    monkeypatch.setenv("CALLCOV_AUTH_ROTATE_REFRESH_TOKENS", "true")
    pair = login()
    (before,) = run_json("users", "sessions", EMAIL)["sessions"]
    with_auth(lambda auth: auth.tokens.refresh(pair.refresh_token.get_secret_value()))
    (after,) = run_json("users", "sessions", EMAIL)["sessions"]
    assert before["refreshed_at"] is None
    assert after["refreshed_at"] >= after["created_at"]


def test_more_sessions_than_a_page_are_all_listed(monkeypatch: pytest.MonkeyPatch) -> None:
    add_user()
    for _ in range(3):
        login()
    monkeypatch.setattr("callcov_auth.validation.MAX_PAGE", 2)
    assert len(run_json("users", "sessions", EMAIL)["sessions"]) == 3


@pytest.mark.parametrize("command", ["logout", "sessions"])
def test_there_is_nobody_of_another_name(command: str) -> None:
    refused = run("users", command, "nobody@example.com")
    assert refused.exit_code == 1
    assert refused.stderr.startswith("error: There is no user with this email")
