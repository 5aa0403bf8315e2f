"""The tables of the reference, held to the code: every setting, endpoint, refusal and command."""

import re
from typing import Any

import pytest
import typer.main
from pydantic.fields import FieldInfo

from callcov_auth import AuthSettings
from callcov_auth.asgi.endpoints import ENDPOINTS, KEY_SET_PATH
from callcov_auth.asgi.forwarded import CHECK_PATH
from callcov_auth.cli.app import app as command_line
from callcov_auth.errors import REFUSALS
from callcov_auth.setting_types import ASYMMETRIC
from callcov_auth.settings import TrustedIssuer
from tests.docs.conftest import Site
from tests.docs.pages import tables_of
from tests.test_readme import default_of

*SETTINGS, TRUSTED = tables_of("settings.md")
# What each does, its default, and what it may be.
ROWS = {row[0].strip("`"): [cell.replace("`", "") for cell in row[1:]] for table in SETTINGS for row in table}


def test_every_setting_has_its_row_and_its_default() -> None:
    assert sum(map(len, SETTINGS)) == len(ROWS)
    assert {name: row[1] for name, row in ROWS.items()} == {
        name: default_of(name) for name in AuthSettings.model_fields
    }


@pytest.mark.parametrize("name", sorted(AuthSettings.model_fields))
def test_the_bounds_of_a_setting_are_those_that_are_told(name: str) -> None:
    lowest, highest = _bounds(AuthSettings.model_fields[name])
    told = [float(number) for number in re.findall(r"(?<![\w-])\d+(?![\w-])", ROWS[name][2])]
    if lowest is not None or highest is not None:
        assert told == [bound for bound in (lowest, highest) if bound is not None]
    assert ROWS[name][0]


def _bounds(field: FieldInfo) -> tuple[float | None, float | None]:
    """Return the lowest and the highest value of a number."""

    def bound(*names: str) -> float | None:
        found = [getattr(rule, name) for rule in field.metadata for name in names if hasattr(rule, name)]
        return float(found[0]) if found else None

    return bound("ge", "gt"), bound("le")


def test_every_field_of_a_trusted_issuer_has_its_row_and_its_default() -> None:
    told = {row[0].strip("`"): row[2].replace("`", "") for row in TRUSTED}
    assert told == {name: _default(name, field) for name, field in TrustedIssuer.model_fields.items()}


def _default(name: str, field: FieldInfo) -> str:
    if field.is_required():
        return "required"
    if name == "algorithms":
        assert field.default == ASYMMETRIC
        return "all but HS"
    if isinstance(field.default, frozenset):
        return ", ".join(sorted(field.default))
    return "none" if field.default is None else str(field.default)


def test_every_endpoint_has_its_row() -> None:
    told = {row[0].strip("`"): row[1:] for row in tables_of("http.md")[0]}
    ours = {f"{endpoint.method} {endpoint.path}" for endpoint in ENDPOINTS}
    assert told.keys() == {*ours, f"GET {CHECK_PATH}", f"GET {KEY_SET_PATH}"}
    for endpoint in ENDPOINTS:
        who, takes, answers = told[f"{endpoint.method} {endpoint.path}"]
        assert who == ("a token" if endpoint.needs_token else "everybody")
        assert answers.startswith(str(endpoint.status))
        fields = set(endpoint.takes.model_fields) if endpoint.takes else set()
        shown = {
            part.partition("=")[0]
            for code in re.findall("`([^`]*)`", takes)
            for part in re.split("[?&]", code)
        }
        assert shown - {""} == fields


def test_every_refusal_has_its_row() -> None:
    told = [(row[0].strip("`"), int(row[1])) for row in tables_of("http.md")[1]]
    assert told == [(refusal.code, refusal.status) for refusal in REFUSALS]


def test_the_page_of_commands_has_each_with_its_options(site: Site) -> None:
    text = re.sub(r"<[^>]+>", "", (site.folder / "commands.html").read_text("utf-8"))
    group: Any = typer.main.get_command(command_line)
    for name, command in group.commands.items():
        for word, verb in getattr(command, "commands", {"": command}).items():
            assert f"callcov-auth {name} {word}".rstrip() in text
            for parameter in verb.params:
                assert parameter.opts[0] in text or parameter.param_type_name == "argument"
