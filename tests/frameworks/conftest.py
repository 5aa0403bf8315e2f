"""One database for all the frameworks, and the page's apps, each made anew for each server."""

import importlib
import logging
import secrets
import sys
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import anyio
import pytest

from callcov_auth import Auth, AuthSettings
from tests.frameworks.matrix import FRAMEWORKS, SERVERS, Framework, Server
from tests.support.markdown import section_blocks
from tests.support.settings import CHEAP_PASSWORDS
from tests.support.tls import Certificate, make_certificate

_NUMBERS = count()
KEYS: dict[str, dict[str, Any]] = {
    "live": {"scopes": {"calls:read"}},
    "test": {"scopes": {"calls:read"}, "environment": "test"},
    "writing": {"scopes": {"calls:read", "calls:write"}},
}


def cells(*, only: Collection[str] = (), but: Collection[str] = ()) -> list[Any]:
    """Return what ``served`` is to be: each framework, or some, with each server that it runs on."""
    return [
        pytest.param((framework, server), id=f"{framework.name}-{server.name}".replace(" ", "_"))
        for framework in FRAMEWORKS
        for server in SERVERS
        if framework.runs_on(server.name)
        and framework.name not in but
        and (not only or framework.name in only)
    ]


@dataclass(frozen=True, slots=True)
class Seeded:
    variables: dict[str, str] = field(repr=False)
    owner: str
    key: str = field(repr=False)
    test_key: str = field(repr=False)
    write_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Served:
    url: str
    framework: Framework
    server: Server


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return make_certificate(tmp_path_factory.mktemp("tls"))


@pytest.fixture(scope="session")
def seeded(tmp_path_factory: pytest.TempPathFactory) -> Seeded:
    folder = tmp_path_factory.mktemp("seeded")
    values = {
        "secret": secrets.token_urlsafe(48),
        "database_url": f"sqlite:///{folder / 'auth.db'}",
        **CHEAP_PASSWORDS,
    }
    variables = {f"CALLCOV_AUTH_{name.upper()}": str(value) for name, value in values.items()}
    return anyio.run(_seed, values, variables)


async def _seed(values: dict[str, Any], variables: dict[str, str]) -> Seeded:
    async with Auth(AuthSettings(_env_file=None, **values)) as auth:
        scopes = {"calls:read", "calls:write"}
        owner = (await auth.users.create("owner@example.com", "a long password", scopes=scopes)).id
        keys = [
            (await auth.keys.create(owner, name=name, **fields)).api_key.get_secret_value()
            for name, fields in KEYS.items()
        ]
    return Seeded(variables, owner, *keys)


@pytest.fixture(scope="session")
def make_app(seeded: Seeded, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Any]]:
    folder = tmp_path_factory.mktemp("apps")
    made: list[str] = []

    def make(heading: str) -> Any:
        made.append(name := f"page_app_{next(_NUMBERS)}")
        (folder / f"{name}.py").write_text(section_blocks("frameworks.md", heading)[0], "utf-8")
        _forget_django()
        with pytest.MonkeyPatch.context() as patch:
            patch.syspath_prepend(folder)
            for variable, value in seeded.variables.items():
                patch.setenv(variable, value)
            with _logging_kept():
                return importlib.import_module(name).app

    yield make
    for name in made:
        sys.modules.pop(name, None)


@contextmanager
def _logging_kept() -> Iterator[None]:
    """An MCP server sets up logging for the whole process."""
    handlers, level = logging.root.handlers[:], logging.root.level
    try:
        yield
    finally:
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)


def _forget_django() -> None:
    """Django is configured once in a process; here each app configures it."""
    from django.conf import empty, settings

    settings._wrapped = empty


@pytest.fixture(scope="module", params=cells())
def served(
    request: pytest.FixtureRequest, make_app: Callable[[str], Any], certificate: Certificate
) -> Iterator[Served]:
    framework, server = request.param
    with server.serve(make_app(framework.name), certificate) as url:
        yield Served(url + framework.root, framework, server)
