"""``callcov-auth users``."""

from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callcov_auth.cli.asking import ask_new_password
from callcov_auth.cli.commands import Command, Json, Scopes, noun
from callcov_auth.cli.output import print_json, print_record, print_table
from callcov_auth.cli.session import with_auth
from callcov_auth.cli.user_imports import import_users

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.store.protocol import User

Email = Annotated[str, typer.Argument(metavar="EMAIL", show_default=False)]

app = noun("Users: who may log in, and what each may do.")
app.command("import", cls=Command)(import_users)


@app.command(cls=Command)
def add(email: Email, scopes: Scopes = None, as_json: Json = False) -> None:
    """Add a user. The password is asked for, or is the first line of standard input."""
    password = ask_new_password()
    user = with_auth(
        lambda auth: auth.users.create(email, password, scopes=scopes or ()), makes_database=True
    )
    print_record(_record(user), as_json=as_json)


@app.command("list", cls=Command)
def list_users(as_json: Json = False) -> None:
    """List all users, the oldest first."""
    records = [_record(user) for user in with_auth(lambda auth: auth.users.list())]
    if as_json:
        print_json({"users": records})
    else:
        print_table(records, ["id", "email", "scopes", "created_at", "disabled_at"])


@app.command(cls=Command)
def disable(email: Email, as_json: Json = False) -> None:
    """Refuse a user's password, keys and sessions from now on."""
    print_record(_changed(email, lambda auth, user_id: auth.users.disable(user_id)), as_json=as_json)


@app.command(cls=Command)
def enable(email: Email, as_json: Json = False) -> None:
    """Let a user who was disabled in again, with password and keys; sessions that ended stay so."""
    print_record(_changed(email, lambda auth, user_id: auth.users.enable(user_id)), as_json=as_json)


@app.command(cls=Command)
def set_password(email: Email, as_json: Json = False) -> None:
    """Set a new password, asked for or read as for 'add', and log the user out everywhere."""
    password = ask_new_password()
    record = _changed(email, lambda auth, user_id: auth.users.set_password(user_id, password))
    print_record(record, as_json=as_json)


@app.command(cls=Command)
def set_scopes(email: Email, scopes: Scopes = None, as_json: Json = False) -> None:
    """Set what a user may do, in the place of what it was; without --scope, nothing."""
    record = _changed(email, lambda auth, user_id: auth.users.set_scopes(user_id, scopes or ()))
    print_record(record, as_json=as_json)


@app.command(cls=Command)
def logout(email: Email, as_json: Json = False) -> None:
    """End every session of a user: none gives a new token. API keys go on working."""
    record = _changed(email, lambda auth, user_id: auth.tokens.logout_everywhere(user_id))
    print_record(record, as_json=as_json)


@app.command("sessions", cls=Command)
def list_sessions(email: Email, as_json: Json = False) -> None:
    """List the sessions of a user that are alive, the newest first."""
    records = with_auth(lambda auth: _sessions(auth, email))
    if as_json:
        print_json({"sessions": records})
    else:
        print_table(records, ["id", "created_at", "expires_at", "refreshed_at"])


async def _sessions(auth: "Auth", email: str) -> list[dict[str, Any]]:
    from callcov_auth.asgi.answers import rfc3339, rfc3339_or_none
    from callcov_auth.validation import MAX_PAGE

    user = await auth.users.by_email(email)
    records: list[dict[str, Any]] = []
    cursor: str | None = None
    while True:
        page = await auth.tokens.sessions(user.id, limit=MAX_PAGE, cursor=cursor)
        records += [
            {
                "id": session.id,
                "created_at": rfc3339(session.created_at),
                "expires_at": rfc3339(session.expires_at),
                # Only where refresh tokens rotate; None otherwise.
                "refreshed_at": rfc3339_or_none(next(iter(session.superseded), None)),
            }
            for session in page.sessions
        ]
        cursor = page.cursor
        if cursor is None:
            return records


def _changed(email: str, change: "Callable[[Auth, str], Awaitable[None]]") -> dict[str, Any]:
    async def work(auth: "Auth") -> "User":
        user = await auth.users.by_email(email)
        await change(auth, user.id)
        return await auth.users.get(user.id)

    return _record(with_auth(work))


def _record(user: "User") -> dict[str, Any]:
    from callcov_auth.asgi.answers import Me, rfc3339_or_none

    shown = Me.of(user, user.scopes).model_dump()
    return shown | {"disabled_at": rfc3339_or_none(user.disabled_at)}
