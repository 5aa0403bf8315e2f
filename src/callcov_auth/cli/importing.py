"""What importing keys and importing users have in common: a file, taken in batches, and what became of it."""

import os
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, BinaryIO, Protocol

import typer

from callcov_auth.cli.errors import REFUSED
from callcov_auth.cli.output import print_json
from callcov_auth.cli.progress import progress
from callcov_auth.cli.session import with_auth

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.cli.row_file import RowFile
    from callcov_auth.importing import ImportLine, Refusal, Table, Tally

File = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        help="CSV with a header, or JSON lines.",
        exists=True,
        dir_okay=False,
        readable=True,
    ),
]


class Import(Protocol):
    """What takes lines, a batch at a time."""

    tally: "Tally"

    async def take(self, lines: "Sequence[ImportLine]", /) -> None: ...


def run_import(file: Path, work: "Callable[[Auth, BinaryIO], Awaitable[Tally]]", *, as_json: bool) -> None:
    """Print what becomes of a file. Raises Exit with 1 where a line is refused."""
    with file.open("rb") as opened:
        tally = with_auth(lambda auth: work(auth, opened), makes_database=True)
    _print(tally, as_json=as_json)
    if tally.refused:
        raise typer.Exit(REFUSED)


async def take_all(opened: BinaryIO, table: "Table", importing: Import, *, batch: int) -> "Tally":
    """Let ``importing`` take what a file holds."""
    from callcov_auth.cli.row_file import RowFile

    lines = RowFile(opened, table)
    size = os.fstat(opened.fileno()).st_size
    with progress("Importing") as tell:
        done = 0
        for taken in _batches(lines, importing, batch):
            await importing.take(taken)
            tell(lines.position - done, size)
            done = lines.position
    return importing.tally


def _batches(lines: "RowFile", importing: Import, size: int) -> "Iterator[list[ImportLine]]":
    """Give lines as they come, and put on the tally what is none."""
    from callcov_auth.importing import Refusal

    batch: list[ImportLine] = []
    for line in lines:
        if isinstance(line, Refusal):
            importing.tally.note(line)
        else:
            batch.append(line)
        if len(batch) == size:
            yield batch
            batch = []
    yield batch


def _print(tally: "Tally", *, as_json: bool) -> None:
    refusals = sorted(tally.refusals, key=lambda refusal: refusal.line)
    untold = tally.refused - len({refusal.line for refusal in refusals})
    counts = {"imported": tally.imported, "present": tally.present, "refused": tally.refused}
    if as_json:
        print_json({**counts, "refusals": [asdict(refusal) for refusal in refusals]})
        return
    _print_refusals(refusals)
    if untold:
        typer.echo(f"and {untold} lines more: mend these first, and run it again", err=True)
    typer.echo("Imported {imported}; {present} were there already; refused {refused}.".format(**counts))


def _print_refusals(refusals: "Sequence[Refusal]") -> None:
    for refusal in refusals:
        typer.echo(f"line {refusal.line}: {refusal.field} {refusal.reason}", err=True)
