"""Running commands: in this process where that is enough, in one of their own where it is not."""

import json
import os
import subprocess
import sys
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

import anyio
from typer.testing import CliRunner, Result

from callcov_auth import Auth, AuthSettings
from callcov_auth.cli.app import app
from tests.support.clock import Clock

T = TypeVar("T")

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery"
TIMEOUT = 60


def run(*arguments: str, stdin: str | bytes = "") -> Result:
    """Run a command in this process. What it did not foresee is raised here."""
    return CliRunner().invoke(app, arguments, input=stdin, catch_exceptions=False)


def run_json(*arguments: str, stdin: str = "") -> Any:
    """Run a command that succeeds, and return the document it prints."""
    result = run(*arguments, "--json", stdin=stdin)
    assert result.exit_code == 0, result.stderr
    return json.loads(result.stdout)


def run_process(
    *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    """Run ``python -m callcov_auth`` in this folder, with ``env`` beside this environment."""
    return python("-m", "callcov_auth", *arguments, stdin=stdin, env=env, **options)


def python(
    *arguments: str, stdin: str = "", env: Mapping[str, str] | None = None, **options: Any
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        input=stdin,
        env={**os.environ, **(env or {})},
        capture_output=True,
        text=True,
        timeout=TIMEOUT,
        **options,
    )


def with_auth(work: Callable[[Auth], Awaitable[T]], *, clock: Clock | None = None) -> T:
    """Return what ``work`` returns, on an Auth over the database that the commands use."""

    async def opened() -> T:
        async with Auth(AuthSettings(), clock=clock) as auth:
            return await work(auth)

    return anyio.run(opened)


def add_user(email: str = EMAIL, *scopes: str) -> str:
    """Add a user with the command, and return the user's id."""
    given = [part for scope in scopes for part in ("--scope", scope)]
    return str(run_json("users", "add", email, *given, stdin=PASSWORD)["id"])
