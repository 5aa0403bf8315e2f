"""What people see at a terminal: tables that fit into it, and in which nothing that is needed is cut."""

import json
import sys
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest

from callcov_auth.cli.keys import COLUMNS
from callcov_auth.cli.output import print_record, print_table
from callcov_auth.cli.terminal import GAP
from tests.cli.running import EMAIL, PASSWORD, add_user, run, run_json, with_auth
from tests.cli.terminal import COLOUR, on_screen, shown, terminal

NAMES = ("id", "name", "key_prefix", "revoked_at")
ROWS: list[dict[str, Any]] = [
    {"id": f"key_{number:024}", "name": name, "key_prefix": "sk_live_AbCdEf", "revoked_at": None}
    for number, name in enumerate(("nightly report of the week", "ci", "日本語の 名前"))
]
# So wide are these three columns, and so wide when their names are broken between words.
WIDE = 28 + 26 + 14 + 2 * GAP
NARROW = 28 + len("日本語の") * 2 + 14 + 2 * GAP


def seen(capsys: pytest.CaptureFixture[str]) -> list[str]:
    # As a terminal's driver hands it on.
    return on_screen(capsys.readouterr().out.replace("\n", "\r\n")).splitlines()


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Callable[..., list[str]]:
    """Calling it prints ROWS at a terminal so many columns wide, and returns the lines."""
    monkeypatch.setenv("TERM", "xterm")

    def show(columns: int, rows: list[dict[str, Any]] = ROWS) -> list[str]:
        monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
        monkeypatch.setenv("COLUMNS", str(columns))
        print_table(rows, NAMES)
        return [line.rstrip() for line in seen(capsys)]

    return show


def test_a_table_has_a_line_for_each_thing_and_no_empty_column(screen: Callable[..., list[str]]) -> None:
    heading, rule, first, second, third = screen(WIDE)
    assert heading.split() == ["id", "name", "key_prefix"]
    assert set(rule) == {"─"}
    assert first == f"{ROWS[0]['id']}  nightly report of the week  sk_live_AbCdEf"
    assert second.split() == [ROWS[1]["id"], "ci", "sk_live_AbCdEf"]
    assert third.endswith("sk_live_AbCdEf")


@pytest.mark.parametrize("columns", [WIDE - 1, NARROW])
def test_the_widest_column_gives_way_between_words(columns: int, screen: Callable[..., list[str]]) -> None:
    lines = screen(columns)
    assert len(lines) > len(ROWS) + 2
    for row in ROWS:
        (line,) = [line for line in lines if row["id"] in line]
        assert line.endswith(row["key_prefix"])
    words = " ".join(lines).split()
    assert [word for row in ROWS for word in row["name"].split() if word not in words] == []


def test_what_does_not_fit_stands_one_below_the_other(screen: Callable[..., list[str]]) -> None:
    lines = screen(NARROW - 1)
    assert lines[:4] == [
        f"id          {ROWS[0]['id']}",
        "name        nightly report of the week",
        "key_prefix  sk_live_AbCdEf",
        "",
    ]
    assert len(lines) == 4 * len(ROWS) - 1
    assert all(a or b for a, b in pairwise(lines))


def test_nothing_is_cut_however_narrow_it_is(screen: Callable[..., list[str]]) -> None:
    lines = screen(10)
    assert [line.split()[1] for line in lines if line.startswith("id")] == [row["id"] for row in ROWS]


def test_times_are_told_as_people_read_them(screen: Callable[..., list[str]]) -> None:
    at = "2026-01-31T12:00:05.250Z"
    rows = [{**ROWS[0], "name": f"not {at}", "revoked_at": at}]
    assert screen(120, rows)[2].endswith("sk_live_AbCdEf  2026-01-31 12:00:05Z")
    assert screen(10, rows)[1::2] == [f"name        not {at}", "revoked_at  2026-01-31 12:00:05Z"]


def test_of_nothing_there_is_no_table(screen: Callable[..., list[str]]) -> None:
    assert screen(80, []) == ["None."]


def test_one_thing_is_shown_whole(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    print_record({"id": "key_1", "description": "x" * 300, "revoked_at": None}, as_json=False)
    assert seen(capsys) == [
        "id           key_1",
        f"description  {'x' * 300}",
        "revoked_at   -",
    ]


# The commands themselves


@pytest.fixture
def key(installation: Any) -> dict[str, Any]:
    owner = add_user(EMAIL, "calls:read", "calls:write")
    created = run_json("keys", "create", EMAIL, "--name", "nightly report of the week")
    return {"owner": owner, **created}


@pytest.mark.parametrize("columns", [60, 100, 220])
def test_keys_are_listed_with_their_ids_and_prefixes(columns: int, key: dict[str, Any]) -> None:
    lines = shown("keys", "list", columns=columns).text.splitlines()
    for value in (key["id"], key["owner"], key["key_prefix"]):
        assert sum(value in line for line in lines) == 1
    if columns == 220:
        heading, rule, row = lines
        assert heading.split() == [name for name in COLUMNS if name in heading.split()]
        assert max(len(heading), len(rule), len(row)) <= columns
    else:
        assert lines[0].split() == ["id", key["id"]]


def test_a_new_key_is_shown_once_and_whole_at_sixty_columns(installation: Any) -> None:
    add_user(EMAIL)
    screen = shown("keys", "create", EMAIL, "--name", "ci", "--segment", "staging", columns=60)
    (line,) = [line for line in screen.text.splitlines() if line.startswith("api_key ")]
    key = line.split()[1]
    assert screen.raw.count(key) == 1
    assert with_auth(lambda auth: auth.authenticate(f"Bearer {key}")).segment == "staging"
    assert key not in shown("keys", "list", columns=60).raw


@pytest.mark.parametrize(
    ("command", "name"),
    [
        (("users", "list"), "id"),
        (("users", "sessions", EMAIL), "id"),
        (("keys", "stale", "--days", "0"), "key_prefix"),
        (("audit", "list"), "subject"),
    ],
    ids=str,
)
@pytest.mark.parametrize("columns", [60, 200])
def test_other_tables_fit_too(command: tuple[str, ...], name: str, columns: int, key: dict[str, Any]) -> None:
    with_auth(lambda auth: auth.tokens.login(EMAIL, PASSWORD))
    (records,) = run_json(*command).values()
    lines = shown(*command, columns=columns).text.splitlines()
    assert records
    for record in records:
        assert any(record[name] in line.split() for line in lines)


def test_colours_are_left_out_where_they_are_not_wanted(key: dict[str, Any]) -> None:
    assert COLOUR.search(shown("users", "list").raw)
    assert not COLOUR.search(shown("users", "list", NO_COLOR="1").raw)
    assert "\x1b" not in shown("users", "list", TERM="dumb").raw
    # Where nobody looks, there is none, whatever is asked for.
    assert "\x1b" not in run("users", "list").stdout


def test_what_strangers_wrote_cannot_steer_the_terminal(key: dict[str, Any]) -> None:
    hostile = "\x1b[2Jgone [red]x[/red] :boom: https://example.com"
    with_auth(lambda auth: auth.keys.create(key["owner"], name="ci", description=hostile))
    (new, _) = run_json("keys", "list")["api_keys"]
    text = shown("keys", "rotate", new["id"], columns=200).raw
    assert "\\x1b[2Jgone [red]x[/red] :boom: https://example.com" in text
    assert "\x1b[2J" not in text


def test_json_is_json_at_a_terminal_too(key: dict[str, Any]) -> None:
    screen = shown("keys", "list", "--json", columns=60)
    assert json.loads(screen.text)["api_keys"][0]["id"] == key["id"]


def test_an_error_is_a_plain_line(installation: Any) -> None:
    add_user()
    with terminal("keys", "revoke", "key_1", columns=200) as screen:
        assert screen.ended() == 1
    assert screen.text == ("error: There is no such API key: 'callcov-auth keys list --all' shows them all\n")
