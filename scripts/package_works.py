"""A guarded app on SQLite, with nothing installed but the wheel; scripts/package runs it."""

import secrets
from pathlib import Path
from typing import Any

import anyio

import callcov_auth
from callcov_auth import Auth, AuthMiddleware, AuthSettings


async def hello(scope: Any, _: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["user"].subject.encode()})


async def answer(app: AuthMiddleware, credential: str) -> tuple[int, bytes]:
    sent: list[Any] = []

    async def receive() -> Any:
        return {"type": "http.request", "body": b""}

    async def send(message: Any) -> None:
        sent.append(message)

    headers = [(b"authorization", f"Bearer {credential}".encode())]
    where = {"method": "GET", "path": "/", "raw_path": b"/", "query_string": b"", "root_path": ""}
    await app({"type": "http", "scheme": "https", "headers": headers, **where}, receive, send)
    return sent[0]["status"], sent[1]["body"]


async def main() -> None:
    settings = AuthSettings(secret=secrets.token_urlsafe(48), database_url="sqlite:///works.db")
    async with Auth(settings) as auth:
        user = await auth.users.create("owner@example.com", "a long password")
        key = (await auth.keys.create(user.id, name="works")).api_key.get_secret_value()
        pair = await auth.tokens.login("owner@example.com", "a long password")
        app = AuthMiddleware(hello, auth=auth)
        for credential in (key, pair.access_token.get_secret_value()):
            assert await answer(app, credential) == (200, user.id.encode())  # noqa: S101
        assert (await answer(app, f"{key[:-1]}!"))[0] == 401  # noqa: S101


assert "site-packages" in Path(callcov_auth.__file__).parts, "this is to try what is installed"  # noqa: S101
anyio.run(main)
