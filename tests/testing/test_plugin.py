"""The fixtures, as pytest gives them to a user's own tests: those of docs/testing.md."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

from callcov_auth.testing.store_contract import PROMISES
from tests.support.markdown import python_blocks

BLOCKS = python_blocks("testing.md")


def run_pytest(folder: Path, text: str, *arguments: str) -> str:
    (folder / "test_users_own.py").write_text(text)
    command = [sys.executable, "-m", "pytest", "-q", "-W", "error", *arguments]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    return ran.stdout + ran.stderr


def passed(shown: str) -> int:
    found = re.search(r"^(\d+) passed(?:, \d+ deselected)? in", shown, re.M)
    assert found, shown
    return int(found[1])


@pytest.mark.parametrize(("number", "tests"), [(0, 3), (2, 1), (3, 1), (4, 2)])
def test_what_the_page_shows_passes(tmp_path: Path, number: int, tests: int) -> None:
    assert passed(run_pytest(tmp_path, BLOCKS[number])) == tests


def test_each_block_of_the_page_is_tried() -> None:
    assert len(BLOCKS) == 6


def test_the_users_own_app_is_kept_from_the_users_own_database(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("CALLCOV_AUTH_DATABASE_URL=sqlite:///mine.db\n")
    app, tests = (
        BLOCKS[0]
        .replace("auth_settings())  # yours: AuthSettings()", "AuthSettings())")
        .split("\n\n\ndef test_", 1)
    )
    (tmp_path / "app.py").write_text(app.replace("from callcov_auth.testing import auth_settings\n", ""))
    (tmp_path / "conftest.py").write_text(BLOCKS[1])

    assert passed(run_pytest(tmp_path, f"from app import app\n\n\ndef test_{tests}")) == 3
    assert not (tmp_path / "mine.db").exists()


def test_a_caller_is_there_until_the_test_ends(tmp_path: Path) -> None:
    more = """
def test_a_stranger_after_all(api_client):
    assert api_client(app).get("/calls").status_code == 401
"""
    assert passed(run_pytest(tmp_path, BLOCKS[0] + more)) == 4


def test_a_fixture_of_the_users_own_goes_before_ours(tmp_path: Path) -> None:
    text = """
import pytest

@pytest.fixture
def auth():
    return "mine"

def test_auth(auth):
    assert auth == "mine"
"""
    assert passed(run_pytest(tmp_path, text)) == 1


def test_a_run_that_uses_none_of_it_loads_none_of_it(tmp_path: Path) -> None:
    text = """
import sys

def test_modules():
    heavy = ("starlette", "sqlalchemy", "cryptography", "pydantic", "jwt", "httpx2")
    assert [name for name in heavy if name in sys.modules] == []
    assert "callcov_auth.testing.plugin" in sys.modules
"""
    assert passed(run_pytest(tmp_path, text, "-p", "no:hypothesispytest")) == 1


OWN_STORE = """
import pytest

from callcov_auth.store.sql import SqlStore
from callcov_auth.testing.store_contract import PROMISES, StoreContract

LOST = "{lost}"


class MyStore(SqlStore):
    async def touch_keys(self, last_used):
        if not LOST:
            await super().touch_keys(last_used)


@pytest.fixture
def anyio_backend():
    return "asyncio"


class TestMyStore(StoreContract):
    @pytest.fixture
    async def store(self):
        opened = MyStore("sqlite://")
        await opened.open()
        yield opened
        await opened.aclose()


def test_there_are_promises():
    assert len(PROMISES) > 50
"""


def test_a_store_of_the_users_own_is_held_to_its_promises(tmp_path: Path) -> None:
    assert passed(run_pytest(tmp_path, OWN_STORE.format(lost=""))) == len(PROMISES) + 1


def test_the_page_shows_how_to_hold_a_store_to_them(tmp_path: Path) -> None:
    passes = passed(run_pytest(tmp_path, BLOCKS[5], "-k", "a_session and asyncio"))
    assert passes == sum("a_session" in promise.__name__ for promise in PROMISES)


def test_a_store_that_forgets_is_found_out(tmp_path: Path) -> None:
    shown = run_pytest(tmp_path, OWN_STORE.format(lost="yes"))

    assert re.search(r"^\d failed, \d+ passed", shown, re.M), shown
    assert "last_used_at" in shown
