"""``callcov-auth keys who``."""

from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from callcov_auth.cli.asking import ask_key
from callcov_auth.cli.commands import Json
from callcov_auth.cli.output import print_record
from callcov_auth.cli.session import with_auth

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.errors import NotFound
    from callcov_auth.settings import AuthSettings
    from callcov_auth.store.protocol import OwnedKey

State = Literal["active", "revoked", "disabled", "expired"]

_IN_HISTORY = (
    "The key is in your shell's history now: leave it out, and it is asked for, or read from a pipe."
)


def who(
    key: Annotated[
        str | None,
        typer.Argument(metavar="KEY", help="Better left out: it is asked for then.", show_default=False),
    ] = None,
    as_json: Json = False,
) -> None:
    """Tell whose a key is that was found somewhere, and whether it works. It is not shown.

    The key is asked for, or is the first line of standard input. Exit code 1 where it is none of ours.
    """
    if key is not None:
        typer.echo(_IN_HISTORY, err=True)
    text = ask_key() if key is None else key.strip()
    print_record(with_auth(lambda auth: _told(auth, text)), as_json=as_json)


def state_of(owned: "OwnedKey", now: float) -> State:
    """Tell whether a stored key works, and else why it does not."""
    if owned.key.revoked_at is not None:
        return "revoked"
    if owned.owner_disabled:
        return "disabled"
    if owned.key.expires_at is not None and owned.key.expires_at <= now:
        return "expired"
    return "active"


async def _told(auth: "Auth", text: str) -> dict[str, Any]:
    from callcov_auth.asgi.answers import rfc3339, rfc3339_or_none

    owned = await auth.keys.find(text)
    if owned is None:
        text = _within(text)
        owned = await auth.keys.find(text)
    if owned is None:
        raise _unknown(auth.settings, text)
    key = owned.key
    owner = await auth.users.get(key.owner)
    return {
        "id": key.id,
        "owner": key.owner,
        "email": owner.email,
        "name": key.name,
        "key_prefix": key.key_prefix,
        "scopes": sorted(key.scopes),
        "created_at": rfc3339(key.created_at),
        "last_used_at": rfc3339_or_none(key.last_used_at),
        "state": state_of(owned, auth.now),
    }


def _within(text: str) -> str:
    """Return the one key within a line such as ``API_KEY="sk_live_…"``; else the line as it is."""
    from callcov_auth.keys.finder import finds_in

    keys = {find.text for find in finds_in(text.encode("utf-8", "surrogateescape"), ())}
    return keys.pop() if len(keys) == 1 else text


def _unknown(settings: "AuthSettings", text: str) -> "NotFound":
    from callcov_auth.errors import NotFound
    from callcov_auth.keys import format as key_format

    form = key_format.read(text)
    if form is None:
        return NotFound(
            "This is no key of ours, and no line with one in it; they look like sk_live_… and 48 more",
            reason="key_malformed",
        )
    if not form.is_genuine(settings.key_mac_keys):
        return NotFound(
            "This key was not made with our secret: it is forged or mistyped", reason="key_mac_wrong"
        )
    return NotFound("This key was made with our secret, and is not in this database", reason="key_unknown")
