"""``tokens``: issuing one, and looking into one without showing it."""

import json
import secrets
import time
from base64 import urlsafe_b64encode
from typing import Any

import pytest
from typer.testing import Result

from callcov_auth.tokens.issuer import TokenPair
from tests.cli.running import EMAIL, PASSWORD, add_user, run, run_json, with_auth
from tests.support.clock import Clock

pytestmark = pytest.mark.usefixtures("installation")


def issued(*arguments: str) -> str:
    return str(run_json("tokens", "issue", "usr_1", *arguments)["access_token"])


def logged_in() -> TokenPair:
    add_user()
    return with_auth(lambda auth: auth.tokens.login(EMAIL, PASSWORD))


def inspected(token: str) -> tuple[int, Any]:
    result = run("tokens", "inspect", "--json", stdin=token + "\n")
    return result.exit_code, json.loads(result.stdout)


def forged(**claims: Any) -> str:
    parts = [{"alg": "HS256", "typ": "at+jwt"}, claims]
    encoded = [urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts]
    return ".".join([*encoded, "c2lnbmF0dXJl"])


def test_an_issued_token_is_the_subjects() -> None:
    answer = run_json("tokens", "issue", "usr_1", "--scope", "b", "--scope", "a")

    principal = with_auth(lambda auth: auth.authenticate(f"Bearer {answer['access_token']}"))
    assert (principal.subject, principal.scopes) == ("usr_1", {"a", "b"})
    assert (answer["token_type"], answer["expires_in"]) == ("bearer", 1800)


def test_without_scopes_it_may_do_nothing() -> None:
    token = issued()

    assert with_auth(lambda auth: auth.authenticate(f"Bearer {token}")).scopes == frozenset()


def test_the_token_alone_is_printed_so_that_a_shell_can_take_it() -> None:
    printed = run("tokens", "issue", "usr_1")

    assert inspected(printed.stdout.removesuffix("\n"))[0] == 0
    assert printed.stderr == ""


def test_a_malformed_subject_is_refused() -> None:
    refused = run("tokens", "issue", "a\nb")

    assert refused.exit_code == 2
    assert refused.stderr.startswith("error: subject: ")


def test_a_genuine_token_verifies() -> None:
    exit_code, found = inspected(issued("--scope", "a"))

    assert exit_code == 0
    assert found["header"] | {"kid": ""} == {"alg": "HS256", "kid": "", "typ": "at+jwt"}
    assert (found["claims"]["sub"], found["claims"]["scope"]) == ("usr_1", "a")
    assert (found["verifies"], found["code"], found["reason"]) == (True, None, None)


def test_white_space_around_a_pasted_token_does_not_matter() -> None:
    assert inspected(f"  {issued()} \t")[0] == 0


def test_a_refresh_token_verifies_until_logout() -> None:
    refresh_token = logged_in().refresh_token.get_secret_value()
    before = inspected(refresh_token)
    with_auth(lambda auth: auth.tokens.logout(refresh_token))
    after = inspected(refresh_token)

    assert (before[0], before[1]["verifies"]) == (0, True)
    assert (after[0], after[1]["code"], after[1]["reason"]) == (1, "token_revoked", "session_revoked")


def test_an_ended_session_shows_where_access_tokens_can_be_revoked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_REVOCABLE_ACCESS_TOKENS", "true")
    pair = logged_in()
    with_auth(lambda auth: auth.tokens.logout(pair.refresh_token.get_secret_value()))

    exit_code, found = inspected(pair.access_token.get_secret_value())

    assert (exit_code, found["code"]) == (1, "token_revoked")


def test_an_expired_token_is_told_apart() -> None:
    an_hour_ago = Clock(time.time() - 3600)
    token = with_auth(lambda auth: auth.tokens.issue("usr_1"), clock=an_hour_ago)

    exit_code, found = inspected(token)

    assert (exit_code, found["verifies"], found["code"]) == (1, False, "token_expired")
    assert found["claims"]["sub"] == "usr_1"


def test_a_changed_signature_is_named() -> None:
    head, _, signature = issued().rpartition(".")

    changed = ("B" if signature[0] == "A" else "A") + signature[1:]

    exit_code, found = inspected(f"{head}.{changed}")

    assert (exit_code, found["code"], found["reason"]) == (1, "invalid_token", "token_signature_wrong")


def test_a_token_of_another_installation_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    token = issued()
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", secrets.token_urlsafe(48))

    exit_code, found = inspected(token)

    assert (exit_code, found["reason"]) == (1, "token_unknown_kid")


@pytest.mark.parametrize("text", ["not a token", "sk_live_" + "a" * 48, "a.b.c"])
def test_what_is_no_token_has_nothing_to_show(text: str) -> None:
    exit_code, found = inspected(text)

    assert exit_code == 1
    assert (found["header"], found["claims"], found["verifies"]) == (None, None, False)


def test_people_read_the_header_the_claims_and_the_verdict() -> None:
    good = run("tokens", "inspect", stdin=issued())
    bad = run("tokens", "inspect", stdin=forged(sub="x"))

    assert good.stdout.startswith("header:\n{")
    assert '"sub": "usr_1"' in good.stdout.partition("claims:\n")[2]
    assert good.stdout.endswith("verifies: yes\n")
    assert bad.stdout.endswith("verifies: no, invalid_token (token_wrong_iss)\n")
    assert bad.exit_code == 1


@pytest.mark.parametrize("as_json", [(), ("--json",)], ids=["plain", "json"])
def test_neither_a_token_nor_its_signature_is_ever_shown(as_json: tuple[str, ...]) -> None:
    pair = logged_in()
    access, refresh = pair.access_token.get_secret_value(), pair.refresh_token.get_secret_value()
    for token in (access, refresh, access[:-4], forged(sub="x")):
        shown = run("tokens", "inspect", *as_json, stdin=token)
        assert_hidden(shown, token)


def test_a_token_is_not_taken_as_an_argument_and_not_echoed_as_one() -> None:
    token = issued()

    refused = run("tokens", "inspect", token)

    assert refused.exit_code == 2
    assert "read from standard input" in refused.stderr
    assert_hidden(refused, token)


def test_claims_cannot_steer_the_terminal() -> None:
    shown = run("tokens", "inspect", stdin=forged(sub="\x1b[2Jgone \x9b2Jgone")).stdout

    assert "\\u001b[2Jgone \\u009b2Jgone" in shown
    assert "\x1b" not in shown
    assert "\x9b" not in shown


def assert_hidden(shown: Result, token: str) -> None:
    assert not any(part in shown.output for part in token.split("."))
