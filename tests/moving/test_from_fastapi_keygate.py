"""docs/moving-from-fastapi-keygate.md, followed from an app with keys to one in which they still work."""

import httpx2
import pytest

from tests.cli.conftest import folder
from tests.moving.pages import HowTo, after, before, install, type_line
from tests.moving.theirs import keygate_at

__all__ = ["folder"]

PAGE = HowTo("moving-from-fastapi-keygate.md")


def reports(client: httpx2.Client, key: str) -> list[int]:
    headers: list[dict[str, str]] = [{"X-API-Key": key}, {"Authorization": f"Bearer {key}"}]
    return [client.get("/reports", headers=each).status_code for each in headers]


@pytest.mark.usefixtures("folder")
def test_an_old_key_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with before(PAGE) as client:
        gate = keygate_at("sqlite:///keygate.db")
        key = gate.create_key("acme", scopes=["reports:read"]).key
        other, ended = gate.create_key("umbrella").key, gate.create_key("acme", scopes=["reports:read"])
        seldom = gate.create_key("acme", scopes=["reports:read"], per_minute=2).key
        gate.revoke(ended.id)
        gate._engine.dispose()
        keys = (key, other, ended.key, key + "x")
        assert [reports(client, each) for each in keys] == [[200] * 2, [403] * 2, [401] * 2, [401] * 2]

    install(monkeypatch, PAGE.files[".env"])
    PAGE.export()
    told = [type_line(line).stdout for line in PAGE.commands()]
    assert told == [f"Imported {number}; 0 were there already; refused 0.\n" for number in (2, 4)]

    with after(PAGE) as client:
        assert [reports(client, each) for each in keys] == [[200] * 2, [403] * 2, [401] * 2, [401] * 2]
        assert client.get("/reports", headers={"X-API-Key": key}).json() == {"for": "acme"}
        assert [reports(client, seldom) for _ in range(2)] == [[200, 200], [429, 429]]
    with before(PAGE) as client:
        assert reports(client, key) == [200, 200]


def test_the_same_is_exported_from_either_database() -> None:
    sqlite, postgres = PAGE.queries()
    assert sqlite == [(query.replace("$$", "'"), file) for query, file in postgres]
