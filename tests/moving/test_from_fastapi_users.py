"""docs/moving-from-fastapi-users.md, followed from an app with users to one that they log in to.

``fastapi_users.csv`` is what its SQL gave, of the table that ``fastapi_users_rows.py`` filled: the adapter
wants an older SQLAlchemy than ours, so it is made anew in an environment of its own, in a test that is long.
"""

import csv
import re
import subprocess
from pathlib import Path
from shutil import copyfile
from types import ModuleType

import httpx2
import pytest
from fastapi_users.password import PasswordHelper

from benchmarks.harness.venvs import Environments
from benchmarks.peers import fastapi_users as peer
from tests.cli.conftest import folder
from tests.cli.running import run, with_auth
from tests.moving import fastapi_users_rows
from tests.moving.fastapi_users_rows import OF_BEFORE, PASSWORD, PEOPLE
from tests.moving.pages import HowTo, after, before, install, type_line
from tests.moving.theirs import rows_of

__all__ = ["folder"]

PAGE = HowTo("moving-from-fastapi-users.md")
ROWS = Path(__file__).with_name("fastapi_users.csv")
ADA, BOB, CAROL, DAN = PEOPLE
OURS = "$argon2id$v=19$m=8,t=1,p=1$"
SECRET = {"SECRET": "of no account, for it signs tokens of this test alone"}


@pytest.fixture(autouse=True)
def installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    install(monkeypatch)


def ids() -> dict[str, str]:
    with Path("users.csv").open(encoding="utf-8", newline="") as file:
        return {row["email"]: row["id"] for row in csv.DictReader(file)}


def log_in(client: httpx2.Client, email: str, password: str = PASSWORD) -> httpx2.Response:
    return client.post("/api/v1/auth/login", data={"username": email, "password": password})


def statuses(client: httpx2.Client, token: str) -> list[int]:
    headers = {"Authorization": f"Bearer {token}"}
    return [client.get(path, headers=headers).status_code for path in ("/me", "/reports", "/admin")]


def move_in() -> None:
    """Import ``users.csv`` as the page says, and log everybody in to the app after."""
    (import_,) = PAGE.commands()
    assert type_line(import_).stdout == "Imported 4; 0 were there already; refused 0.\n"
    with after(PAGE) as client:
        tokens = {}
        for email in (ADA, BOB, CAROL, BOB.lower()):
            assert log_in(client, email, PASSWORD.upper()).status_code == 401
            answer = log_in(client, email)
            assert answer.status_code == 200, answer.text
            tokens[email] = answer.json()["access_token"]
        assert log_in(client, DAN).json()["error"]["code"] == "invalid_credentials"
        assert {email: statuses(client, tokens[email]) for email in (ADA, BOB, CAROL)} == {
            ADA: [200, 200, 200],
            BOB: [200, 200, 403],
            CAROL: [200, 403, 403],
        }
        for email, user_id in ids().items():
            if email in tokens:
                me = client.get("/me", headers={"Authorization": f"Bearer {tokens[email]}"})
                assert me.json() == {"id": user_id}
        admin = client.get("/reports", headers={"Authorization": f"Bearer {tokens[ADA]}"})
        assert admin.json() == {"for": ADA}
    users = {user.email: user for user in with_auth(lambda auth: auth.users.list())}
    renewed = {email for email, user in users.items() if user.password_hash.startswith(OURS)}
    assert renewed == {ADA, BOB.lower(), CAROL}
    assert PasswordHelper().verify_and_update(PASSWORD, users[ADA].password_hash)[0], "the way back"


def test_an_old_password_still_works() -> None:
    copyfile(ROWS, "users.csv")
    move_in()


def test_the_rows_are_of_both_kinds_of_hash_and_have_the_columns_that_the_page_exports() -> None:
    header, *rows = rows_of(str(ROWS))
    sqlite, postgres = PAGE.queries()
    assert sqlite == [(query.replace('"', ""), file) for query, file in postgres]
    assert sqlite == [(f"SELECT {', '.join(header)} FROM user", "users.csv")]
    made = {row[1]: row[2][:7] for row in rows}
    assert made == {email: "$2b$12$" if email in OF_BEFORE else "$argon2" for email in PEOPLE}


def test_a_hash_that_fastapi_users_makes_now() -> None:
    made = PasswordHelper().hash(PASSWORD)
    Path("users.csv").write_text(f'email,password_hash\nnew@example.com,"{made}"\n')
    assert run("users", "import", "users.csv").exit_code == 0
    with after(PAGE) as client:
        assert log_in(client, "new@example.com").status_code == 200


def test_the_app_of_before_is_python() -> None:
    assert compile(PAGE.files["before.py"], "before.py", "exec")


@pytest.mark.long
def test_the_rows_made_anew_by_the_real_package(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("tests.moving")
    vars(module).update(REQUIREMENTS=(*peer.REQUIREMENTS, "uvicorn>=0.50"), PYTHON=peer.PYTHON)
    python = Environments().python_for(module)
    PAGE.write("before.py")
    monkeypatch.setenv(*next(iter(SECRET.items())))
    subprocess.run([python, fastapi_users_rows.__file__], check=True, timeout=120)
    with before(PAGE, python=python) as client:
        assert old_log_in(client, ADA).status_code == 200
        assert old_log_in(client, DAN).status_code == 400

    PAGE.export()
    header, *rows = rows_of("users.csv")
    was_header, *was = rows_of(str(ROWS))
    assert header == was_header
    # All but what is another each time.
    assert [_kept(row) for row in rows] == [_kept(row) for row in was]
    move_in()

    with before(PAGE, python=python) as client:
        answer = old_log_in(client, CAROL)
        assert statuses(client, answer.json()["access_token"]) == [200, 403, 403]


def old_log_in(client: httpx2.Client, email: str) -> httpx2.Response:
    return client.post("/auth/jwt/login", data={"username": email, "password": PASSWORD})


def _kept(row: list[str]) -> list[str]:
    _id, email, password_hash, *marks = row
    return [email, re.sub(r"(?<=\$2b\$12\$).+|\$[^$]+\$[^$]+$", "", password_hash), *marks]
