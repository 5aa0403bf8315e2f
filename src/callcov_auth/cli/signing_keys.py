"""``callcov-auth signing-keys``."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any, get_args

import typer

from callcov_auth.cli.commands import Command, Json, noun
from callcov_auth.cli.output import print_json, print_record, print_table
from callcov_auth.cli.session import with_auth

if TYPE_CHECKING:
    from callcov_auth.auth import Auth

COLUMNS = ("kid", "alg", "state", "source", "created_at", "signs_from", "retires_at")
TIMES = ("created_at", "signs_from", "retires_at")

app = noun("The keys that sign our tokens. Private parts are never shown.")


def algorithms() -> list[str]:
    """Return what a shell may complete."""
    from callcov_auth.setting_types import SigningAlgorithm

    return list(get_args(SigningAlgorithm))


@app.command(cls=Command)
def add(
    alg: Annotated[
        str | None,
        typer.Option(help="Without it, as CALLCOV_AUTH_SIGNING_ALGORITHM says.", autocompletion=algorithms),
    ] = None,
    signs_in: Annotated[
        float | None,
        typer.Option(help="Seconds until it signs; without it, until every copy of the key set has it."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key and show it to others at once; it signs later, and then the older ones retire."""

    async def work(auth: "Auth") -> dict[str, Any]:
        return await _record(auth, await auth.signing_keys.add(alg, signs_in=signs_in))

    print_record(with_auth(work, makes_database=True), as_json=as_json)


@app.command("list", cls=Command)
def list_keys(as_json: Json = False) -> None:
    """List the keys, the newest last."""
    records = with_auth(_records)
    if as_json:
        print_json({"signing_keys": records})
    else:
        print_table(records, COLUMNS)


@app.command(cls=Command)
def retire(
    kid: Annotated[
        str, typer.Argument(metavar="KID", help="As 'signing-keys list' shows it.", show_default=False)
    ],
    as_json: Json = False,
) -> None:
    """End a key and all tokens that it signed. A second time changes nothing."""

    async def work(auth: "Auth") -> dict[str, Any]:
        await auth.signing_keys.retire(kid)
        return await _record(auth, kid)

    print_record(with_auth(work), as_json=as_json)


async def _records(auth: "Auth") -> list[dict[str, Any]]:
    from callcov_auth.asgi.answers import rfc3339_or_none

    records = [asdict(key) for key in await auth.signing_keys.list()]
    return [record | {name: rfc3339_or_none(record[name]) for name in TIMES} for record in records]


async def _record(auth: "Auth", kid: str) -> dict[str, Any]:
    return next(record for record in await _records(auth) if record["kid"] == kid)
