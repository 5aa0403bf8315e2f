"""``callcov-auth keys import``."""

from dataclasses import replace
from enum import StrEnum
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from callcov_auth.cli.commands import Json
from callcov_auth.cli.errors import Unusable
from callcov_auth.cli.importing import File, run_import, take_all

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.importing import Table, Tally
    from callcov_auth.settings import AuthSettings


class Source(StrEnum):
    """Whose table the file is."""

    CSV = "csv"
    KEYSHIELD = "keyshield"
    KEYGATE = "fastapi-keygate"


def import_keys(
    file: File,
    source: Annotated[
        Source, typer.Option("--from", help="Whose columns the file has; csv are those named above.")
    ] = Source.CSV,
    owner: Annotated[
        str | None,
        typer.Option(help="Whose the keys are whose line does not say: an email or id.", show_default=False),
    ] = None,
    prefix: Annotated[
        str | None,
        typer.Option(
            help="What keyshield's keys start with, its separator too, where that is not ak_v1-.",
            show_default=False,
        ),
    ] = None,
    pepper_file: Annotated[
        Path | None,
        typer.Option(
            help="Holds the digests' pepper, where CALLCOV_AUTH_IMPORT_PEPPERS has several.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take over keys from elsewhere by their digests; run again, it goes on where it was.

    Columns: owner (email or id), name, digest, kind (sha256, hmac-sha256, argon2, bcrypt, keyshield, ours),
    and, if wanted, prefix, description, environment, segment, scopes (with spaces between; all of the owner's
    where none are named), expires_at or expires_in_days, created_at, revoked_at, rate. A digest is in hex or
    base64url; 'ours' is HMAC-SHA256 under the pepper in force. argon2 and bcrypt need the prefix: the first
    characters of the key, up to 14. Keys that do not start with sk_ are accepted where
    CALLCOV_AUTH_IMPORT_PREFIXES names what they start with.

    With --from, the file is another program's table as it is. Exit code 1 if a line is refused.
    """

    async def work(auth: "Auth", opened: BinaryIO) -> "Tally":
        from callcov_auth.keys.imports import BATCH, KeyImport

        pepper = _pepper(auth.settings, pepper_file)
        table = _table(auth.settings, source, prefix, pepper)
        if owner is not None:
            table = replace(table, required=[n for n in table.required if n != table.columns["owner"]])
        importing = KeyImport(auth.keys, pepper=pepper, table=table, owner=owner)
        return await take_all(opened, table, importing, batch=BATCH)

    if prefix is not None and source is not Source.KEYSHIELD:
        raise Unusable("--prefix goes with '--from keyshield' alone: leave it out, or add that.")
    run_import(file, work, as_json=as_json)


def _table(settings: "AuthSettings", source: Source, prefix: str | None, pepper: bytes | None) -> "Table":
    from callcov_auth.keys.foreign_tables import KEYGATE_START, KEYSHIELD_START, fastapi_keygate, keyshield
    from callcov_auth.keys.imports import OURS

    if source is Source.CSV:
        return OURS
    start = KEYGATE_START if source is Source.KEYGATE else prefix or KEYSHIELD_START
    if not start.startswith(settings.key_starts):
        raise Unusable(
            f"No server takes what starts with {start} for a key yet: add it to "
            "CALLCOV_AUTH_IMPORT_PREFIXES, here and on every server."
        )
    if source is Source.KEYGATE:
        return fastapi_keygate()
    if pepper is None:
        raise Unusable(
            "keyshield hashes with a pepper: add yours to CALLCOV_AUTH_IMPORT_PEPPERS, here and on every "
            "server (keyshield's default is super-secret-pepper); of several, --pepper-file says which."
        )
    return keyshield(start)


def _pepper(settings: "AuthSettings", file: Path | None) -> bytes | None:
    known = settings.import_pepper_keys
    if file is None:
        return known[0] if len(known) == 1 else None
    given = _pepper_in(file)
    if not any(compare_digest(given, pepper) for pepper in known):
        raise Unusable(
            "The pepper in --pepper-file is none of CALLCOV_AUTH_IMPORT_PEPPERS: add it there, and on every "
            "server, for its keys are refused where it is not set."
        )
    return given


def _pepper_in(file: Path) -> bytes:
    from callcov_auth.setting_types import pepper_bytes

    try:
        pepper = pepper_bytes(file.read_text("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError:
        pepper = None
    if not pepper:
        raise Unusable(
            "The pepper in --pepper-file cannot be read: give one line, its text, or 'hex:…' or 'base64:…'."
        )
    return pepper
