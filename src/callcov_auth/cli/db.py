"""``callcov-auth db``."""

import os
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, BinaryIO, TypeVar

import typer

from callcov_auth.cli.commands import Command, Json, noun
from callcov_auth.cli.errors import Unusable
from callcov_auth.cli.output import print_json, print_record, print_table
from callcov_auth.cli.progress import progress, spinner
from callcov_auth.cli.session import settings_with_database

if TYPE_CHECKING:
    from callcov_auth.store.sql import SqlStore

T = TypeVar("T")

app = noun("The database: its schema, and all that is in it.")


@app.command(cls=Command)
def upgrade(as_json: Json = False) -> None:
    """Bring the database's schema up to date."""
    before = _revision()

    async def work(store: "SqlStore") -> None:
        await store.open()

    with spinner("Upgrading the database"):
        _with_store(work, migrate=True)
    print_record({"before": before, "now": _revision()}, as_json=as_json)


@app.command(cls=Command)
def check(as_json: Json = False) -> None:
    """Tell whether the schema is up to date. Exit code 2, and what to do, where it is not."""

    async def work(store: "SqlStore") -> None:
        await store.open()

    _need_database()
    _with_store(work, migrate=False)
    print_record({"schema": _revision(), "up_to_date": True}, as_json=as_json)


@app.command(cls=Command)
def export(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Made anew, readable for you alone.")],
    as_json: Json = False,
) -> None:
    """Write all users, keys, sessions and signing keys, as they are at one moment, to a file of JSON lines.

    The file holds password hashes and the digests of keys, so only you can read it (mode 0600): keep it so,
    and delete it when it has served. The keys work where CALLCOV_AUTH_SECRET is the same. The audit log is
    not in it: 'audit export' writes that.
    """

    async def work(store: "SqlStore") -> dict[str, int]:
        from callcov_auth.store.transfer import export_to

        await store.open()
        with _made_private(file) as opened, progress("Exporting") as tell:
            return dict(await export_to(store, opened.write, tell))

    _need_database()
    counts = _with_store(work, migrate=False)
    if as_json:
        print_json({"file": str(file), "rows": counts})
        return
    print_table([{"table": name, "rows": count} for name, count in counts.items()], ("table", "rows"))
    typer.echo(f"{file} holds password hashes and digests; only you can read it (mode 0600).")


@app.command("import", cls=Command)
def import_(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="Of 'db export'.", exists=True, dir_okay=False)
    ],
    as_json: Json = False,
) -> None:
    """Add what 'db export' wrote to the database of CALLCOV_AUTH_DATABASE_URL, and make its tables first.

    Run again, it goes on where it was: rows that are there already are passed over. A row that is there and
    is another one is an error, and nothing is ever replaced.
    """

    async def work(store: "SqlStore") -> list[dict[str, Any]]:
        from callcov_auth.store.transfer import Lines, TransferError, import_from

        await store.open()
        try:
            with file.open("rb") as opened:
                lines = Lines(opened)
                with progress("Importing") as tell:
                    return [asdict(count) for count in await import_from(store, lines, tell)]
        except TransferError as error:
            raise Unusable(f"{file}: {error}") from None

    counts = _with_store(work, migrate=True)
    if as_json:
        print_json({"tables": counts})
    else:
        print_table(counts, ("table", "in_file", "added", "present", "in_database"))


def _with_store(work: "Callable[[SqlStore], Awaitable[T]]", *, migrate: bool) -> T:
    import anyio

    from callcov_auth.store.sql import SqlStore

    async def opened() -> T:
        store = SqlStore(_url(), auto_migrate=migrate)
        try:
            return await work(store)
        finally:
            await store.aclose()

    return anyio.run(opened)


def _url() -> str:
    return settings_with_database().database_url.get_secret_value()


def _revision() -> str | None:
    async def work(store: "SqlStore") -> str | None:
        import anyio

        from callcov_auth.store.schema import current_revision

        # A file that is missing stays so.
        if store.file is not None and not await anyio.Path(store.file).exists():
            return None
        return await store.lanes.read(current_revision)

    return _with_store(work, migrate=False)


def _need_database() -> None:
    """SQLite makes a file that is missing, so that is found before it does."""
    url = _url()
    if url.startswith("sqlite") and _revision() is None:
        raise Unusable(
            "There is no database yet where CALLCOV_AUTH_DATABASE_URL says: see that the address and the "
            "current folder are right; 'callcov-auth db upgrade' makes it"
        )


@contextmanager
def _made_private(file: Path) -> Iterator[BinaryIO]:
    """Open a new file that nobody else can read; what is left of an export that failed is deleted."""
    try:
        handle = os.open(file, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
    except FileExistsError:
        raise Unusable(f"{file} is there already: name another file, or delete it") from None
    except OSError as error:
        raise Unusable(f"{file} cannot be made ({error.strerror}): name another file") from None
    try:
        with os.fdopen(handle, "wb") as opened:
            yield opened
            opened.flush()
            os.fsync(handle)
    except BaseException:
        with suppress(OSError):
            file.unlink()
        raise
