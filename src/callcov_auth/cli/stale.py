"""``callcov-auth keys stale``."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from callcov_auth.cli.commands import Json
from callcov_auth.cli.every_key import every_key
from callcov_auth.cli.output import print_json, print_table
from callcov_auth.cli.progress import progress
from callcov_auth.cli.session import with_auth

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.store.protocol import Key

COLUMNS = ("id", "owner", "name", "key_prefix", "created_at", "age_days", "last_used_at", "never_used")


def stale(
    days: Annotated[
        int | None,
        typer.Option(
            min=0,
            metavar="N",
            help="From this age on; else as CALLCOV_AUTH_ROTATION_DAYS says.",
            show_default=False,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """List the keys that work and are due for rotation, the oldest first; not those that end soon."""
    records = with_auth(lambda auth: _due(auth, days))
    if as_json:
        print_json({"api_keys": records})
        return
    print_table(records, COLUMNS)
    if records:
        typer.echo(
            "'callcov-auth keys rotate KEY_ID' makes a new one; 'keys revoke KEY_ID' ends it.", err=True
        )


def is_due(key: "Key", now: float, days: int) -> bool:
    """Whether a key should be rotated. One that ends within a rotation's longest grace needs none."""
    from callcov_auth.age import age_in_days
    from callcov_auth.keys.service import MAX_GRACE

    ending = key.expires_at is not None and key.expires_at <= now + MAX_GRACE
    return not ending and age_in_days(key.created_at, now) >= days


async def _due(auth: "Auth", days: int | None) -> list[dict[str, Any]]:
    age = auth.settings.rotation_days if days is None else days
    with progress("Reading keys") as tell:
        keys = await every_key(auth, None, include_expired=False, tell=tell)
    due = sorted(
        (key for key in keys if is_due(key, auth.now, age)), key=lambda key: (key.created_at, key.id)
    )
    return [_record(key, auth.now) for key in due]


def _record(key: "Key", now: float) -> dict[str, Any]:
    from callcov_auth.age import age_in_days
    from callcov_auth.asgi.answers import rfc3339, rfc3339_or_none

    return {
        "id": key.id,
        "owner": key.owner,
        "name": key.name,
        "key_prefix": key.key_prefix,
        "created_at": rfc3339(key.created_at),
        "age_days": age_in_days(key.created_at, now),
        "last_used_at": rfc3339_or_none(key.last_used_at),
        "never_used": key.last_used_at is None,
    }
