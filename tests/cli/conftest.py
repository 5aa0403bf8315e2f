"""An installation for the commands to work on."""

import secrets
from pathlib import Path

import pytest

CHEAP_PASSWORDS = {
    "CALLCOV_AUTH_PASSWORD_TIME_COST": "1",
    "CALLCOV_AUTH_PASSWORD_MEMORY_KIB": "8",
}


@pytest.fixture
def folder(monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, empty; passwords are cheap, and nothing else is set."""
    for name, value in CHEAP_PASSWORDS.items():
        monkeypatch.setenv(name, value)
    return Path.cwd()


@pytest.fixture
def installation(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder whose settings are in the environment; ``callcov_auth.db`` is made by the first command."""
    monkeypatch.setenv("CALLCOV_AUTH_SECRET", secrets.token_urlsafe(48))
    return folder
