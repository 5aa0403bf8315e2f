"""docs/moving.md says of the files what the commands take, and its lines can be typed."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from callcov_auth import AuthSettings
from callcov_auth.keys.foreign import Kind
from callcov_auth.keys.import_rows import ImportRow
from callcov_auth.users.import_rows import UserRow
from tests.cli.conftest import folder, installation
from tests.cli.running import run
from tests.moving.pages import HowTo
from tests.support.markdown import ROOT

__all__ = ["folder", "installation"]

PAGE = (ROOT / "docs" / "moving.md").read_text("utf-8")
PAGES = sorted(path.name for path in (ROOT / "docs").glob("moving-from-*.md"))


def section(heading: str) -> str:
    return PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]


def columns(heading: str) -> dict[str, str]:
    """The columns of a table on the page, and what it says of each."""
    return dict(re.findall(r"^\| `(\w+)` \| (.+) \|$", section(heading), re.M))


@pytest.mark.parametrize(("heading", "model"), [("Users", UserRow), ("Keys", ImportRow)])
def test_the_tables_have_the_columns_that_are_taken(heading: str, model: type[BaseModel]) -> None:
    shown = columns(heading)
    assert shown.keys() == model.model_fields.keys()
    required = {name for name, field in model.model_fields.items() if field.is_required()}
    assert {name for name, text in shown.items() if text.startswith("Required")} == required


def test_every_kind_of_digest_is_named() -> None:
    kinds: Any = Kind
    assert set(re.findall(r"`([\w-]+)`", columns("Keys")["kind"])) == set(kinds.__args__)


def test_every_how_to_is_listed_and_has_the_same_parts() -> None:
    assert PAGES
    assert sorted(re.findall(r"\]\((moving-from-[\w-]+\.md)\)", PAGE)) == PAGES
    for page in PAGES:
        how_to = HowTo(page)
        headings = re.findall(r"^## (.+)$", how_to.text, re.M)
        assert headings == ["Before", "After", "Import", "What changes for clients", "Go back"]
        assert {"before.py", "after.py"} <= how_to.files.keys()


def test_links_lead_somewhere() -> None:
    for page in ("moving.md", *PAGES):
        text = (ROOT / "docs" / page).read_text("utf-8")
        for file, anchor in re.findall(r"\]\((?!https:)([\w-]+\.md)#?([^)]*)\)", text):
            found = (ROOT / "docs" / file).read_text("utf-8")
            assert not anchor or f"\n## {anchor.capitalize()}\n" in found


def test_the_settings_are_set_as_shown(installation: Path) -> None:
    (ini,) = re.findall(r"^```ini\n(.*?)^```$", section("Keys"), re.M | re.S)
    Path(".env").write_text(ini)
    settings = AuthSettings()
    assert settings.key_starts == ("sk_", "ak_v1-", "kg_")
    assert settings.import_pepper_keys == (b"the pepper of the other program",)


def test_the_two_commands(installation: Path) -> None:
    lines = [line for line in HowTo("moving.md").lines if line.startswith("callcov-auth ")]
    Path("users.csv").write_text("email\nada@example.com\n")
    Path("keys.csv").write_text(f"owner,name,digest,kind\nada@example.com,k,{'0' * 64},sha256\n")
    for line in lines:
        done = run(*line.split()[1:], "--json")
        assert json.loads(done.stdout) == {"imported": 1, "present": 0, "refused": 0, "refusals": []}
    assert len(lines) == 2
