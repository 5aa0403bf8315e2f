"""docs/moving-from-a-middleware.md, followed from an app with keys to one in which they still work."""

import hashlib
import json
import secrets
from pathlib import Path

import pytest

from tests.cli.conftest import folder
from tests.moving.pages import HowTo, after, before, install, type_line

__all__ = ["folder"]

PAGE = HowTo("moving-from-a-middleware.md")


@pytest.mark.usefixtures("folder")
def test_an_old_key_still_works(monkeypatch: pytest.MonkeyPatch) -> None:
    keys = [secrets.token_hex(16), secrets.token_urlsafe(32)]
    digests = {hashlib.sha256(key.encode()).hexdigest(): f"team-{at}" for at, key in enumerate(keys)}
    Path("keys.json").write_text(json.dumps(digests))
    headers = [{"X-API-Key": key} for key in (*keys, "nonsense")]
    with before(PAGE) as client:
        was = [client.get("/hello", headers=each) for each in headers]

    install(monkeypatch, PAGE.files[".env"])
    exec(compile(PAGE.files["export.py"], "export.py", "exec"), {"__name__": "__main__"})
    assert [type_line(line).stdout for line in PAGE.commands()] == [
        "Imported 2; 0 were there already; refused 0.\n"
    ] * 2

    with after(PAGE) as client:
        answers = [client.get("/hello", headers=each) for each in headers]
        again = client.get("/hello", headers={"Authorization": f"Bearer {keys[0]}"})
        nobody = client.get("/hello", headers={"X-API-Key": "a.b.c"})
    assert [each.status_code for each in was] == [each.status_code for each in answers] == [200, 200, 401]
    assert [each.json() for each in was[:2]] == [each.json() for each in answers[:2]]
    assert (again.json(), nobody.status_code) == ({"hello": "team-0"}, 401)
