"""What someone has who tries what a page shows: a machine as the page wants it, and a key."""

from secrets import token_hex, token_urlsafe

import anyio
import httpx2
import pytest

from callcov_auth import Auth, AuthSettings
from tests.support.settings import CHEAP_PASSWORDS


def set_up(monkeypatch: pytest.MonkeyPatch, **changes: str) -> None:
    """Set what a reader is told to set, with passwords that cost little."""
    chosen = {"secret": token_urlsafe(48), "require_https": "false", **CHEAP_PASSWORDS, **changes}
    for name, value in chosen.items():
        monkeypatch.setenv(f"CALLCOV_AUTH_{name.upper()}", str(value))


def minted(*scopes: str) -> dict[str, str]:
    """The header of a new key, made in the database that the settings name, as the command line does."""

    async def mint() -> str:
        async with Auth(AuthSettings()) as auth:
            user = await auth.users.create(f"{token_hex(4)}@example.com", "a-password", scopes=scopes)
            return (await auth.keys.create(user.id, name="readme")).api_key.get_secret_value()

    return {"Authorization": f"Bearer {anyio.run(mint)}"}


def refusal(response: httpx2.Response) -> tuple[int, str]:
    """Return a refusal's status and code; its body is whole."""
    error = response.json()["error"]
    assert error["message"]
    assert error["request_id"] == response.headers["x-request-id"]
    return response.status_code, error["code"]
