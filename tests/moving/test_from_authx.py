"""docs/moving-from-authx.md, followed from an app with passwords of its own to one that they log in to."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import ModuleType

import pytest
from argon2 import PasswordHasher

from benchmarks.harness.venvs import Environments
from benchmarks.peers import authx as peer
from tests.cli.conftest import folder
from tests.moving.pages import HowTo, after, before, install, type_line

__all__ = ["folder"]

PAGE = HowTo("moving-from-authx.md")
EMAIL, PASSWORD = "ada@example.com", "correct horse battery staple"
SECRET = {"SECRET": "of no account, for it signs tokens of this test alone"}


@pytest.fixture(autouse=True)
def accounts(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = PasswordHasher(time_cost=1, memory_cost=16, parallelism=1).hash(PASSWORD)
    with closing(sqlite3.connect("app.db")) as connection, connection:
        connection.execute("CREATE TABLE accounts (id INTEGER PRIMARY KEY, email TEXT, hash TEXT)")
        connection.execute("INSERT INTO accounts VALUES (17, ?, ?)", [EMAIL, made])
    install(monkeypatch)


def test_an_old_password_still_works() -> None:
    PAGE.export()
    (import_,) = PAGE.commands()
    assert type_line(import_).stdout == "Imported 1; 0 were there already; refused 0.\n"
    with after(PAGE) as client:
        answer = client.post("/api/v1/auth/login", json={"email": EMAIL, "password": PASSWORD})
        me = client.get("/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
        wrong = client.post("/api/v1/auth/login", json={"email": EMAIL, "password": "another"})
    assert me.json() == {"id": "17"}
    assert wrong.status_code == 401


@pytest.mark.long
def test_the_app_of_before_by_the_real_package() -> None:
    module = ModuleType("tests.moving.authx")
    vars(module).update(REQUIREMENTS=(*peer.REQUIREMENTS, "uvicorn>=0.50"), PYTHON=peer.PYTHON)
    python = Environments().python_for(module)
    query = {"username": EMAIL, "password": PASSWORD}
    with before(PAGE, python=python, env=SECRET) as client:
        answer = client.post("/login", params=query)
        assert answer.status_code == 200, answer.text
        me = client.get("/me", headers={"Authorization": f"Bearer {answer.json()['access_token']}"})
        assert me.json() == {"id": "17"}
        assert client.post("/login", params=query | {"password": "another"}).status_code == 401
        assert client.post("/login", params=query | {"username": "nobody"}).status_code == 401
        assert client.get("/me").status_code == 401
