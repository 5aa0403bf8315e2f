"""A file of rows, line by line: CSV with a header, or JSON lines, told apart by how it starts."""

import csv
from collections.abc import Iterator, Sequence
from typing import Any, BinaryIO

from callcov_auth.cli.errors import Unusable
from callcov_auth.importing import ImportLine, Refusal, Table, said
from callcov_auth.strict_json import NotStrictJson, read_object

MAX_LINE_BYTES = 64 * 1024

_BOM = b"\xef\xbb\xbf"


class RowFile:
    """Iterates over what each line holds; ``position`` tells how many bytes were read."""

    def __init__(self, file: BinaryIO, table: Table) -> None:
        self._file = file
        self._table = table
        self._number = 0
        self.position = 0

    def __iter__(self) -> Iterator[ImportLine | Refusal]:
        """Raises Unusable for what cannot be a file of the table at all."""
        lines = self._lines()
        first = next(lines, b"").removeprefix(_BOM)
        read = self._json if first.lstrip().startswith(b"{") else self._csv
        return read(_again(first, lines))

    def _lines(self) -> Iterator[bytes]:
        while line := self._file.readline(MAX_LINE_BYTES + 1):
            self._number += 1
            self.position += len(line)
            if len(line) > MAX_LINE_BYTES:
                raise Unusable(
                    f"Line {self._number} is longer than {MAX_LINE_BYTES} bytes, and no row is: take it out."
                )
            yield line

    def _json(self, lines: Iterator[bytes]) -> Iterator[ImportLine | Refusal]:
        for line in lines:
            if not line.strip():
                continue
            try:
                yield self._row(read_object(line))
            except NotStrictJson as error:
                yield Refusal(self._number, "line", f"is not one JSON object ({error})")

    def _row(self, fields: dict[str, Any]) -> ImportLine | Refusal:
        lacking = [] if self._table.is_ours else [name for name in self._table.required if name not in fields]
        if lacking:
            # Of another program's row nothing may be missed: it may say that the row counts no more.
            return Refusal(self._number, lacking[0], "is missing")
        return ImportLine(self._number, said(fields))

    def _csv(self, lines: Iterator[bytes]) -> Iterator[ImportLine | Refusal]:
        # What is no UTF-8 is left to the fields' own checks, which refuse it.
        reader = csv.reader((line.decode("utf-8", "surrogateescape") for line in lines), strict=True)
        header: Sequence[str] | None = None
        while True:
            # A field in quotes may hold line breaks: the row is where it starts.
            number = self._number + 1 if header is not None else 1
            try:
                cells = next(reader)
            except StopIteration:
                return
            except csv.Error:
                yield Refusal(number, "line", "is not CSV: look at its quotes")
                continue
            if header is None:
                header = self._header(cells)
            elif cells:
                yield _row(number, header, cells)

    def _header(self, cells: Sequence[str]) -> Sequence[str]:
        names = [cell.strip() for cell in cells]
        known = {**dict.fromkeys(self._table.required), **dict.fromkeys(self._table.columns.values())}
        for number, name in enumerate(names, 1):
            # By its number, for a file without a header has a row's own values here.
            if name not in known and self._table.is_ours:
                names_known = ", ".join(self._table.columns)
                raise Unusable(f"Column {number} of the header is none of these: name it so. {names_known}.")
            if name in known and name in names[: number - 1]:
                raise Unusable(f"The header names the column {name} twice: leave one out.")
        lacking = [name for name in self._table.required if name not in names]
        if lacking:
            raise Unusable(f"The header lacks columns: add {', '.join(lacking)}.")
        return names


def _again(first: bytes, rest: Iterator[bytes]) -> Iterator[bytes]:
    if first:
        yield first
    yield from rest


def _row(number: int, header: Sequence[str], cells: Sequence[str]) -> ImportLine | Refusal:
    if len(cells) != len(header):
        return Refusal(number, "line", f"has {len(cells)} columns, and the header has {len(header)}")
    return ImportLine(number, {name: cell for name, cell in zip(header, cells, strict=True) if cell})
