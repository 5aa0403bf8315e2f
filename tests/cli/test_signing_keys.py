"""``signing-keys``: keys that come and go by the command line, and what ``doctor`` says of them."""

import json
import secrets
from pathlib import Path

import pytest

from callcov_auth import Auth
from callcov_auth.tokens.guards import take_apart
from tests.cli.running import add_user, run, run_json, with_auth
from tests.cli.test_doctor import execute, found, only

pytestmark = pytest.mark.usefixtures("installation")


def signing() -> str:
    """Return the ``kid`` under which a new token is signed."""
    return str(take_apart(run_json("tokens", "issue", "usr_1")["access_token"]).header["kid"])


def listed() -> dict[str, str]:
    """Return the state of each of the store's keys."""
    keys = run_json("signing-keys", "list")["signing_keys"]
    return {key["kid"]: key["state"] for key in keys if key["source"] == "store"}


def private_numbers() -> list[str]:
    """Return each stored key's private number, in the forms that could be shown."""

    async def read(auth: Auth) -> list[int]:
        return [timed.key.key.private_numbers().private_value for timed in auth.tokens.keyring.timed]

    return [form for number in with_auth(read) for form in (str(number), f"{number:x}")]


def test_the_secrets_key_signs_at_first() -> None:
    (key,) = run_json("signing-keys", "list")["signing_keys"]
    assert (key["alg"], key["state"], key["source"]) == ("HS256", "signing", "settings")
    assert key["kid"] == signing()
    assert (key["created_at"], key["signs_from"], key["retires_at"]) == (None, None, None)


def test_an_added_key_signs() -> None:
    added = run_json("signing-keys", "add")
    assert (added["alg"], added["state"], added["source"]) == ("ES256", "signing", "store")
    assert added["created_at"] == added["signs_from"]
    assert added["created_at"].endswith("Z")
    assert signing() == added["kid"]


def test_the_next_waits_until_others_have_it() -> None:
    first = run_json("signing-keys", "add")
    second = run_json("signing-keys", "add", "--alg", "EdDSA")
    assert (second["alg"], second["state"]) == ("EdDSA", "next")
    assert listed() == {first["kid"]: "signing", second["kid"]: "next"}
    assert signing() == first["kid"]
    times = {key["kid"]: key for key in run_json("signing-keys", "list")["signing_keys"]}
    assert times[first["kid"]]["retires_at"] > second["signs_from"] > second["created_at"]


def test_it_may_be_said_when_it_signs() -> None:
    first = run_json("signing-keys", "add")
    second = run_json("signing-keys", "add", "--signs-in", "0")
    assert listed() == {first["kid"]: "verifying", second["kid"]: "signing"}
    assert signing() == second["kid"]


def test_the_setting_says_which_kind_is_made(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CALLCOV_AUTH_SIGNING_ALGORITHM", "ES384")
    assert run_json("signing-keys", "add")["alg"] == "ES384"


@pytest.mark.parametrize(
    ("options", "field"),
    [
        (("--alg", "HS256"), "alg"),
        (("--alg", "none"), "alg"),
        (("--signs-in=-1",), "signs_in"),
        (("--signs-in", "nan"), "signs_in"),
    ],
)
def test_what_cannot_be_is_refused(options: tuple[str, ...], field: str) -> None:
    refused = run("signing-keys", "add", *options)
    assert refused.exit_code == 2
    assert refused.stderr.startswith(f"error: {field}: ")
    assert listed() == {}


def test_a_retired_key_is_gone() -> None:
    first = run_json("signing-keys", "add")["kid"]
    token = run_json("tokens", "issue", "usr_1")["access_token"]
    second = run_json("signing-keys", "add", "--signs-in", "0")["kid"]
    assert run("tokens", "inspect", stdin=token).exit_code == 0

    retired = run_json("signing-keys", "retire", first)

    assert (retired["kid"], retired["state"]) == (first, "retired")
    assert listed() == {first: "retired", second: "signing"}
    inspected = run("tokens", "inspect", stdin=token)
    assert inspected.exit_code == 1
    assert "token_unknown_kid" in inspected.stdout
    assert run_json("signing-keys", "retire", first) == retired, "a second time changes nothing"


def test_the_only_key_is_not_retired_and_the_next_step_is_named() -> None:
    kid = run_json("signing-keys", "add")["kid"]
    refused = run("signing-keys", "retire", kid)
    assert refused.exit_code == 1
    assert refused.stderr == (
        "error: No other key signs in its place: "
        "make one first, with 'callcov-auth signing-keys add --signs-in 0'\n"
    )
    assert listed() == {kid: "signing"}


@pytest.mark.parametrize("which", ["unknown", "of the settings"])
def test_an_unknown_key_is_refused(which: str) -> None:
    of_the_settings = signing()
    kid = "unknown" if which == "unknown" else of_the_settings
    refused = run("signing-keys", "retire", kid)
    assert refused.exit_code == 1
    assert "There is no such signing key: 'callcov-auth signing-keys list' shows them all" in refused.stderr
    assert "CALLCOV_AUTH_SIGNING_KEYS" in refused.stderr


def test_people_read_a_table() -> None:
    kid = run_json("signing-keys", "add")["kid"]
    names, secret, own = run("signing-keys", "list").stdout.splitlines()
    assert names.split() == ["kid", "alg", "state", "source", "created_at", "signs_from", "retires_at"]
    assert secret.split()[1:4] == ["HS256", "verifying", "settings"]
    assert own.split()[:4] == [kid, "ES256", "signing", "store"]


def test_no_command_shows_a_private_part(installation: Path) -> None:
    outputs = [run("signing-keys", "add", "--signs-in", "0").output for _ in range(2)]
    first = next(iter(listed()))
    numbers = private_numbers()
    outputs += [run("signing-keys", "list").output, run("signing-keys", "list", "--json").output]
    outputs += [
        run("signing-keys", "retire", first, *json_or_not).output for json_or_not in ((), ("--json",))
    ]
    assert len(numbers) == 4
    kept = (installation / "callcov_auth.db").read_bytes().decode("latin-1")
    assert not any(number in shown for number in numbers for shown in [*outputs, kept])
    assert not any('"d"' in shown or "sealed" in shown for shown in outputs)


# doctor


def test_keys_under_a_previous_secret_are_counted(monkeypatch: pytest.MonkeyPatch) -> None:
    old, new = secrets.token_urlsafe(48), secrets.token_urlsafe(48)
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", old)
    add_user()
    kids = [run_json("signing-keys", "add", "--signs-in", "0")["kid"] for _ in range(2)]
    assert found() == []
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", new)
    monkeypatch.setenv("CALLCOV_AUTH_PREVIOUS_SECRETS", json.dumps([old]))

    finding = only("signing keys")

    assert finding["problem"] == f"2 still sealed under a previous secret: {kids[0]}, {kids[1]}"
    assert "'callcov-auth signing-keys add'" in finding["cure"]
    run_json("signing-keys", "add", "--signs-in", "0")
    run_json("signing-keys", "retire", kids[0])
    assert only("signing keys")["problem"] == f"1 still sealed under a previous secret: {kids[1]}"
    run_json("signing-keys", "retire", kids[1])
    assert found() == []


def test_keys_that_nothing_opens_are_found(monkeypatch: pytest.MonkeyPatch) -> None:
    add_user()
    kid = run_json("signing-keys", "add")["kid"]
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", secrets.token_urlsafe(48))

    finding = only("signing keys")

    assert finding["problem"] == f"1 cannot be opened with any secret that is set: {kid}"
    assert "CALLCOV_AUTH_PREVIOUS_SECRETS" in finding["cure"]
    run_json("signing-keys", "retire", kid)
    assert found() == []


def test_doctor_makes_no_key(installation: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    add_user()
    monkeypatch.setenv("CALLCOV_AUTH_SIGNING_KEY_ROTATION_DAYS", "1")
    monkeypatch.setenv("CALLCOV_AUTH_REVOCATION_INTERVAL", "0.0001")
    for _ in range(3):
        assert found() == []
    assert execute(installation / "callcov_auth.db", "SELECT kid FROM callcov_signing_keys") == []
