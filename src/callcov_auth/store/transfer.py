"""All that a database keeps, as JSON lines: out of one database, into another, as often as it takes.

The first line tells how many rows of each table follow, the last that all of them did. What the feed told
a moment ago is left out: caches of the old database's processes have nothing to do with the new one. So is
the audit log, which the new database begins for itself, with ids of its own; 'audit export' takes it along.
"""

import json
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import groupby, islice
from typing import Any

from sqlalchemy import Column, Connection, LargeBinary, Table, func, insert, select

from callcov_auth.errors import AuthUnavailable, Conflict
from callcov_auth.store.schema import current_revision
from callcov_auth.store.sql import MIGRATION_TIMEOUT, SqlStore
from callcov_auth.store.tables import audit, metadata, revocations
from callcov_auth.threads import check_cancelled

FORMAT = "callcov-auth export, version 1"
# How many rows are read and written at once.
BATCH = 500
# The longest line that is read, in bytes: far beyond the longest row.
MAX_LINE = 1024 * 1024
# Owners before what they own.
TABLES: Mapping[str, Table] = {
    table.name: table for table in metadata.sorted_tables if table not in (revocations, audit)
}
# What is noted beside the work, and is no reason to call two rows different.
NOTES = frozenset({"last_used_at"})

# What to do, by what is wrong.
_ANEW = "export it anew with the version of callcov-auth that is installed here"
_AGAIN = "it was changed or damaged, so export it again with 'callcov-auth db export'"
_APART = "import into an empty database, or delete the row that is wrong"

Tell = Callable[[int, int], None]
"""Called with how many rows more are done, and how many there are in all."""


class TransferError(Exception):
    """The file and the database do not go together; the text says where, and shows no secret."""


@dataclass(slots=True)
class Count:
    """What became of one table's rows."""

    table: str
    in_file: int
    added: int = 0
    present: int = 0
    in_database: int = 0


@dataclass(frozen=True, slots=True)
class Row:
    line: int
    table: Table
    values: Mapping[str, Any]

    @property
    def id(self) -> Any:
        return self.values[_key(self.table).name]


async def export_to(store: SqlStore, write: Callable[[bytes], object], tell: Tell) -> Mapping[str, int]:
    """Write everything, as it is at one moment, and return how many rows of each table there were."""
    return await store.lanes.snapshot(partial(_export, write=write, tell=tell), seconds=MIGRATION_TIMEOUT)


async def import_from(store: SqlStore, lines: "Lines", tell: Tell) -> Sequence[Count]:
    """Add what is not there yet. Raises TransferError, where a row is there and is another one.

    Whatever was added before that stays; the same file, given again, goes on where it stopped.
    """
    revision = await store.lanes.read(current_revision)
    if lines.schema != revision:
        raise TransferError(f"the file is of schema {lines.schema}, and the database of {revision}: {_ANEW}")
    counts = {name: Count(name, in_file) for name, in_file in lines.counts.items()}
    for table, rows in groupby(lines, lambda row: row.table):
        while batch := list(islice(rows, BATCH)):
            added = await _add_batch(store, table, batch)
            counts[table.name].added += added
            counts[table.name].present += len(batch) - added
            tell(len(batch), lines.total)
    for name, size in (await store.lanes.snapshot(_sizes, seconds=MIGRATION_TIMEOUT)).items():
        if name in counts:
            counts[name].in_database = size
    return list(counts.values())


class Lines:
    """The lines of an export, checked as they come. Raises TransferError."""

    def __init__(self, lines: Iterable[bytes]) -> None:
        self._lines = enumerate(lines, 1)
        head = self._next()
        if head.get("format") != FORMAT or head.keys() != {"format", "schema", "rows"}:
            raise TransferError(f"line 1: this is no file of 'callcov-auth db export' ({FORMAT}): name one")
        self.schema: str = head["schema"]
        self.counts: Mapping[str, int] = head["rows"]
        if not self.counts.keys() <= TABLES.keys():
            raise TransferError(f"line 1: the file has tables that are not known here: {_ANEW}")

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def __iter__(self) -> Iterator[Row]:
        seen = dict.fromkeys(self.counts, 0)
        for number, line in self._lines:
            content = _read(number, line)
            if content.keys() == {"end"}:
                if seen == self.counts == content["end"]:
                    return
                break
            row = _row(number, content)
            seen[row.table.name] = seen.get(row.table.name, 0) + 1
            yield row
        raise TransferError(f"the file is cut short, so rows are missing: {_AGAIN}")

    def _next(self) -> dict[str, Any]:
        number, line = next(self._lines, (1, b""))
        return _read(number, line)


def _export(connection: Connection, *, write: Callable[[bytes], object], tell: Tell) -> Mapping[str, int]:
    counts = _sizes(connection)
    write(_line({"format": FORMAT, "schema": current_revision(connection), "rows": counts}))
    for name, table in TABLES.items():
        for batch in _batches(connection, table):
            # Else nobody could stop it.
            check_cancelled()
            write(b"".join(_line({"table": name, "row": values}) for values in batch))
            tell(len(batch), sum(counts.values()))
    write(_line({"end": counts}))
    return counts


def _sizes(connection: Connection) -> Mapping[str, int]:
    return {
        name: connection.execute(select(func.count()).select_from(table)).scalar_one()
        for name, table in TABLES.items()
    }


def _batches(connection: Connection, table: Table) -> Iterator[list[dict[str, Any]]]:
    key = _key(table)
    page = select(table).order_by(key).limit(BATCH)
    rows = connection.execute(page).all()
    while rows:
        yield [{name: _to_json(value) for name, value in row._mapping.items()} for row in rows]
        rows = connection.execute(page.where(key > rows[-1]._mapping[key])).all()


async def _add_batch(store: SqlStore, table: Table, rows: Sequence[Row]) -> int:
    try:
        return await store.lanes.write(partial(_add_missing, table, rows))
    except Conflict:
        problem = f"has what may be there once only, and another row has it: {_APART}"
    except AuthUnavailable as error:
        if error.reason != "store_DataError":
            raise
        problem = "holds what this database cannot store: mend it where it came from, and export it anew"
    if len(rows) == 1:
        raise TransferError(f"line {rows[0].line}: {table.name} {rows[0].id!r} {problem}")
    # One of them; those before it can be added.
    return sum([await _add_batch(store, table, [row]) for row in rows])


def _add_missing(table: Table, rows: Sequence[Row], connection: Connection) -> int:
    key = _key(table)
    found = connection.execute(select(table).where(key.in_([row.id for row in rows])))
    present = {row._mapping[key]: row._mapping for row in found}
    for row in rows:
        if row.id in present and _content(present[row.id]) != _content(row.values):
            raise TransferError(
                f"line {row.line}: {table.name} {row.id!r} is there already, and is another one: {_APART}"
            )
    missing = [dict(row.values) for row in rows if row.id not in present]
    if missing:
        connection.execute(insert(table), missing)
    return len(missing)


def _content(row: Mapping[Any, Any]) -> dict[str, Any]:
    return {str(name): value for name, value in row.items() if str(name) not in NOTES}


def _row(number: int, content: Mapping[str, Any]) -> Row:
    table = TABLES.get(str(content.get("table")))
    values = content.get("row")
    if table is None or not isinstance(values, dict) or values.keys() != set(table.columns.keys()):
        raise TransferError(f"line {number}: this is no row of a table that is known here: {_AGAIN}")
    return Row(number, table, {name: _from_json(number, table.c[name], values[name]) for name in values})


def _read(number: int, line: bytes) -> dict[str, Any]:
    try:
        content = json.loads(line) if len(line) <= MAX_LINE else None
    except ValueError:
        content = None
    if not isinstance(content, dict):
        raise TransferError(
            f"line {number}: this is no JSON object, or it is far too long: {_AGAIN}"
        ) from None
    return content


def _line(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, separators=(",", ":")).encode() + b"\n"


def _to_json(value: Any) -> Any:
    return b64encode(value).decode("ascii") if isinstance(value, bytes) else value


def _from_json(number: int, column: Column[Any], value: Any) -> Any:
    if value is None or not isinstance(column.type, LargeBinary):
        return value
    try:
        return b64decode(value, validate=True)
    except (ValueError, TypeError):
        raise TransferError(f"line {number}: {column.name} is not base64: {_AGAIN}") from None


def _key(table: Table) -> Column[Any]:
    (key,) = table.primary_key.columns
    return key
