"""What a request carries, by every way the contract names, and what the scopes on it grant."""

import json
from collections.abc import Iterator
from typing import Any

import anyio
import pytest

from callcov_auth import Auth
from tests.server.seeding import Seeded
from tests.server.site import make_site
from tests.support.raw_http import ask, bearer
from tests.support.servers import serve


@pytest.fixture(scope="module")
def site(seeded: Seeded, http_implementation: str) -> Iterator[str]:
    with serve(make_site(Auth(seeded.settings)), http=http_implementation) as url:
        yield url


def who(site: str, *lines: bytes) -> dict[str, Any]:
    return dict(json.loads(ask(site, "/whoever", *lines).body))


@pytest.mark.parametrize(("credential", "kind"), [("key", "api_key"), ("token", "token")])
def test_the_caller_is_found_in_every_place(site: str, seeded: Seeded, credential: str, kind: str) -> None:
    assert who(site, *seeded.lines(credential)) == {
        "subject": seeded.owner_id,
        "kind": kind,
        "scopes": ["analysis:read", "analysis:write"],
        "user": seeded.owner_id,
        "authenticated": True,
        "reads": True,
        "current": True,
        "path": "/whoever",
    }


def test_a_second_request_with_the_same_header_finds_the_same_caller(site: str, seeded: Seeded) -> None:
    assert who(site, *seeded.lines("key")) == who(site, *seeded.lines("key"))


def test_a_narrow_key_has_its_own_scopes_alone(site: str, seeded: Seeded) -> None:
    found = who(site, *seeded.lines("narrow_key"))

    assert (found["scopes"], found["reads"]) == (["analysis:write"], False)


@pytest.mark.parametrize(("credential", "status"), [("key", 200), ("token", 200), ("narrow_key", 403)])
def test_starlettes_own_requires_works_unchanged(
    site: str, seeded: Seeded, credential: str, status: int
) -> None:
    assert ask(site, "/starlette", *seeded.lines(credential)).status == status


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ("analysis:*", 200),
        ("*", 200),
        ("analysis:read", 200),
        ("analysis", 403),
        ("analysis:", 403),
        ("analysis:reading", 403),
        ("ANALYSIS:READ", 403),
        ("other:*", 403),
    ],
)
@pytest.mark.parametrize("path", ["/api/v1/analysis/", "/starlette"])
def test_what_a_scope_grants(site: str, seeded: Seeded, path: str, scope: str, status: int) -> None:
    assert ask(site, path, bearer(token_with(seeded, scope))).status == status


def test_a_route_that_requires_several_requires_all(site: str, seeded: Seeded) -> None:
    def delete(*scopes: str) -> int:
        token = bearer(token_with(seeded, *scopes))
        return ask(site, "/api/v1/analysis/", token, method="DELETE").status

    assert delete("analysis:read", "analysis:write", "analysis:delete") == 200
    assert delete("analysis:*") == 200
    assert delete("analysis:read", "analysis:write") == 403


def token_with(seeded: Seeded, *scopes: str) -> str:
    async def issue() -> str:
        async with Auth(seeded.settings) as auth:
            return await auth.tokens.issue("somebody", scopes=scopes)

    return anyio.run(issue)
