"""``callcov-auth keys``."""

import shlex
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from callcov_auth.cli.commands import Command, Json, Scopes, key_id, noun
from callcov_auth.cli.every_key import every_key
from callcov_auth.cli.imports import import_keys
from callcov_auth.cli.output import print_json, print_record, print_table
from callcov_auth.cli.progress import progress
from callcov_auth.cli.scan import scan
from callcov_auth.cli.session import with_auth
from callcov_auth.cli.stale import stale
from callcov_auth.cli.who import who

if TYPE_CHECKING:
    from collections.abc import Collection

    from callcov_auth.auth import Auth
    from callcov_auth.keys.service import NewKey
    from callcov_auth.store.protocol import Key, User

COLUMNS = (
    *("id", "owner", "name", "key_prefix", "environment", "segment", "scopes"),
    *("rate", "created_at", "expires_at", "last_used_at", "revoked_at", "rotation_due"),
)

KeyId = Annotated[
    str,
    typer.Argument(metavar="KEY_ID", help="As 'keys list' shows it.", show_default=False, callback=key_id),
]

app = noun("API keys, of any user.")
app.command("import", cls=Command)(import_keys)
for command in (scan, who, stale):
    app.command(cls=Command)(command)


def environments() -> list[str]:
    """Return what a shell may complete."""
    from callcov_auth.setting_types import Environment

    return list(get_args(Environment))


@app.command(cls=Command)
def create(
    owner: Annotated[
        str, typer.Argument(metavar="OWNER", help="The user's email or id.", show_default=False)
    ],
    name: Annotated[str, typer.Option(help="What the key is for.", show_default=False)],
    scopes: Scopes = None,
    environment: Annotated[str, typer.Option(help="live or test.", autocompletion=environments)] = "live",
    segment: Annotated[str | None, typer.Option(help="Such as dev or staging.")] = None,
    expires_in_days: Annotated[int | None, typer.Option(help="Without it the key does not end.")] = None,
    rate: Annotated[
        str | None, typer.Option(help="How often it may be used, such as 100/minute.", show_default=False)
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it, this once. Without --scope it gets all of its owner's scopes."""

    async def work(auth: "Auth") -> "NewKey":
        from callcov_auth.errors import InsufficientPermissions

        user = await _owner(auth, owner)
        try:
            return await auth.keys.create(
                user.id,
                name=name,
                scopes=scopes,
                environment=environment,
                segment=segment,
                expires_in_days=expires_in_days,
                rate=rate,
            )
        except InsufficientPermissions as error:
            error.add_note(_giving(user, error.details["required_scopes"]))
            raise

    _print_new(with_auth(work), as_json=as_json)


@app.command("list", cls=Command)
def list_keys(
    owner: Annotated[str | None, typer.Option(help="One user's, by email or id.")] = None,
    show_all: Annotated[bool, typer.Option("--all", help="Those that ended, too.")] = False,
    as_json: Json = False,
) -> None:
    """List the keys that work, the newest first."""

    async def work(auth: "Auth") -> list[dict[str, Any]]:
        owner_id = None if owner is None else (await _owner(auth, owner)).id
        with progress("Reading keys") as tell:
            keys = await every_key(auth, owner_id, include_expired=show_all, tell=tell)
        return [_record(auth, key) for key in keys]

    records = with_auth(work)
    if as_json:
        print_json({"api_keys": records})
    else:
        print_table(records, COLUMNS)


@app.command(cls=Command)
def revoke(key_id: KeyId, as_json: Json = False) -> None:
    """End a key at once. A second time changes nothing."""

    async def work(auth: "Auth") -> dict[str, Any]:
        await auth.keys.revoke(key_id)
        return _record(auth, await auth.keys.get(key_id))

    print_record(with_auth(work), as_json=as_json)


@app.command(cls=Command)
def rotate(
    key_id: KeyId,
    grace_seconds: Annotated[int, typer.Option(help="How long the old key goes on working.")] = 86400,
    as_json: Json = False,
) -> None:
    """Make a new key like an old one and show it, this once."""
    new = with_auth(lambda auth: auth.keys.rotate(key_id, grace_seconds=grace_seconds))
    _print_new(new, as_json=as_json)


async def _owner(auth: "Auth", owner: str) -> "User":
    return await (auth.users.by_email(owner) if "@" in owner else auth.users.get(owner))


def _giving(user: "User", lacking: "Collection[str]") -> str:
    """Tell what is lacking, and the command that gives it and takes nothing away."""
    if any("," in scope for scope in lacking):
        return "The owner lacks a scope with a comma in it: give --scope once for each"
    scopes = [part for scope in sorted({*user.scopes, *lacking}) for part in ("--scope", scope)]
    command = shlex.join(["callcov-auth", "users", "set-scopes", user.email, *scopes])
    return f"The owner lacks {', '.join(lacking)}: mend a slip, or give it with: {command}"


def _record(auth: "Auth", key: "Key") -> dict[str, Any]:
    from callcov_auth.asgi.answers import ListedKey

    shown = ListedKey.of(key, now=auth.now, rotation_days=auth.settings.rotation_days).model_dump()
    return {"id": key.id, "owner": key.owner} | shown | {"rate": key.rate}


def _print_new(key: "NewKey", *, as_json: bool) -> None:
    from callcov_auth.asgi.answers import CreatedKey

    print_record(CreatedKey.of(key).model_dump(), as_json=as_json)
    if not as_json:
        typer.echo("Keep api_key where your program finds it: it is not shown again.", err=True)
