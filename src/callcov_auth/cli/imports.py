"""``callcov-auth keys import``."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import asdict
from hmac import compare_digest
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO

import typer

from callcov_auth.cli.commands import Json
from callcov_auth.cli.errors import REFUSED, Unusable
from callcov_auth.cli.output import print_json
from callcov_auth.cli.progress import progress
from callcov_auth.cli.session import with_auth

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.cli.key_file import KeyFile
    from callcov_auth.keys.import_rows import ImportLine, Refusal, Tally
    from callcov_auth.keys.imports import KeyImport
    from callcov_auth.settings import AuthSettings


def import_keys(
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="CSV with a header, or JSON lines.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ],
    pepper_file: Annotated[
        Path | None,
        typer.Option(
            help="Holds the hmac-sha256 digests' pepper, where CALLCOV_AUTH_IMPORT_PEPPERS has several.",
            exists=True,
            dir_okay=False,
            readable=True,
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Take over keys from elsewhere by their digests; run again, it goes on where it was.

    Columns: owner (email or id), name, digest, kind (sha256, hmac-sha256, argon2, bcrypt, ours), and, if
    wanted, prefix, description, environment, segment, scopes (with spaces between; all of the owner's where
    none are named), expires_at or expires_in_days, created_at. A digest is in hex or base64url; 'ours' is
    HMAC-SHA256 under the pepper in force. argon2 and bcrypt need the prefix: the first characters of the
    key, up to 14. Only keys that start with sk_ can ever be used, which no digest can tell.

    Exit code 1 if a line is refused.
    """
    tally = _import(file, pepper_file)
    _print(tally, as_json=as_json)
    if tally.refusals:
        raise typer.Exit(REFUSED)


def _import(file: Path, pepper_file: Path | None) -> "Tally":
    with file.open("rb") as opened:
        return with_auth(lambda auth: _imported(auth, opened, pepper_file))


async def _imported(auth: "Auth", opened: BinaryIO, pepper_file: Path | None) -> "Tally":
    from callcov_auth.cli.key_file import KeyFile
    from callcov_auth.keys.imports import BATCH, KeyImport

    pepper = _pepper(auth.settings, pepper_file)
    importing = KeyImport(auth.keys, pepper=pepper)
    lines = KeyFile(opened)
    size = os.fstat(opened.fileno()).st_size
    with progress("Importing") as tell:
        done = 0
        for batch in _batches(lines, importing, BATCH):
            await importing.take(batch)
            tell(lines.position - done, size)
            done = lines.position
    return importing.tally


def _batches(lines: "KeyFile", importing: "KeyImport", size: int) -> "Iterator[list[ImportLine]]":
    """Give lines as they come, and put on the tally what is none."""
    from callcov_auth.keys.import_rows import Refusal

    batch: list[ImportLine] = []
    for line in lines:
        if isinstance(line, Refusal):
            importing.tally.refusals.append(line)
        else:
            batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    yield batch


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
    from callcov_auth.settings import pepper_bytes

    try:
        pepper = pepper_bytes(file.read_text("utf-8").rstrip("\r\n"))
    except UnicodeDecodeError:
        pepper = None
    if not pepper:
        raise Unusable(
            "The pepper in --pepper-file cannot be read: give one line, its text, or 'hex:…' or 'base64:…'."
        )
    return pepper


def _print(tally: "Tally", *, as_json: bool) -> None:
    refusals = sorted(tally.refusals, key=lambda refusal: refusal.line)
    counts = {"imported": tally.imported, "present": tally.present, "refused": tally.refused}
    if as_json:
        print_json({**counts, "refusals": [asdict(refusal) for refusal in refusals]})
        return
    _print_refusals(refusals)
    typer.echo("Imported {imported}; {present} were there already; refused {refused}.".format(**counts))


def _print_refusals(refusals: "Iterable[Refusal]") -> None:
    for refusal in refusals:
        typer.echo(f"line {refusal.line}: {refusal.field} {refusal.reason}", err=True)
