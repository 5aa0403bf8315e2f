"""docs/moving-from-keyshield.md, followed from an app with keys to one in which they still work."""

import json

import httpx2
import pytest

from tests.cli.conftest import folder
from tests.cli.running import PASSWORD, run, run_json
from tests.moving.pages import HowTo, after, before, install, type_line
from tests.moving.theirs import KEYSHIELD_COLUMNS

__all__ = ["folder"]

PAGE = HowTo("moving-from-keyshield.md")
PEPPER = "0f3e6c51d2"
ENV = {"SECRET_PEPPER": PEPPER}


def reports(client: httpx2.Client, key: str, header: str = "Authorization") -> int:
    value = f"Bearer {key}" if header == "Authorization" else key
    return client.get("/reports", headers={header: value}).status_code


def make(client: httpx2.Client, **fields: object) -> str:
    answer = client.post("/api-keys/", json={"name": "partner", **fields})
    assert answer.status_code == 201, answer.text
    return str(answer.json()["api_key"])


@pytest.mark.usefixtures("folder")
def test_an_old_key_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with before(PAGE, env=ENV) as client:
        key, other = make(client, scopes=["reports:read"]), make(client, scopes=[])
        ended = make(client, scopes=["reports:read"], is_active=False)
        assert [reports(client, each) for each in (key, other, ended, key + "x")] == [200, 403, 403, 401]

    install(monkeypatch, PAGE.files[".env"].replace("what SECRET_PEPPER was", PEPPER))
    PAGE.export()
    add, import_ = PAGE.commands()
    type_line(add, stdin=PASSWORD)
    told = type_line(import_)
    assert told.stdout == "Imported 3; 0 were there already; refused 0.\n"

    for _ in range(2):
        with after(PAGE) as client:
            assert [reports(client, each) for each in (key, other, ended, key + "x")] == [200, 403, 401, 401]
            answer = client.get("/reports", headers={"Authorization": f"Bearer {key}"})
            assert answer.json() == {"for": "partner"}
            assert (
                client.get("/reports", headers={"Authorization": f"Bearer {ended}"}).json()["error"]["code"]
                == "token_revoked"
            )
    assert run("doctor").exit_code == 1, "plain HTTP, and nothing else"
    assert [each["check"] for each in json.loads(run("doctor", "--json").stdout)["findings"]] == ["https"]

    # Further on, as the page says: another header, a new key, and the way back.
    monkeypatch.setenv("CALLCOV_AUTH_API_KEY_HEADER", "X-API-Key")
    new = run_json("keys", "create", "partners@example.com", "--name", "new")["api_key"]
    with after(PAGE) as client:
        assert [reports(client, each, "X-API-Key") for each in (key, new)] == [200, 200]
    assert "--all" in PAGE.text
    with before(PAGE, env=ENV) as client:
        assert [reports(client, each) for each in (key, new)] == [200, 401]


def test_the_same_is_exported_from_either_database() -> None:
    sqlite, postgres = PAGE.queries()
    assert sqlite == postgres == [(f"SELECT {KEYSHIELD_COLUMNS} FROM api_keys", "keys.csv")]
