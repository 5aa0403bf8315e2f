"""What commands print: JSON for programs, tables for people at a terminal, aligned columns anywhere else."""

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

import typer

Record = Mapping[str, Any]

# What stands where there is no value.
EMPTY = "-"


def print_json(document: Any) -> None:
    typer.echo(json.dumps(document, indent=2))


def print_record(record: Record, *, as_json: bool) -> None:
    """Print one thing."""
    if as_json:
        print_json(record)
        return
    cells = [_cell(value) for value in record.values()]
    if sys.stdout.isatty():
        # Here and below, because starting loads nothing that a command may not need.
        from callcov_auth.cli.terminal import show_record

        show_record(list(record), cells)
        return
    width = max(map(len, record))
    for name, cell in zip(record, cells, strict=True):
        typer.echo(f"{name:<{width}}  {cell}")


def print_table(records: Sequence[Record], columns: Sequence[str]) -> None:
    """Print ``columns`` of many things, under a line of their names."""
    cells = [[_cell(record[column]) for column in columns] for record in records]
    if sys.stdout.isatty():
        from callcov_auth.cli.terminal import show_table

        show_table(columns, cells)
        return
    rows = [list(columns), *cells]
    widths = [max(len(row[at]) for row in rows) for at in range(len(columns))]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        typer.echo(line.rstrip())


def print_line(record: Record, columns: Sequence[str]) -> None:
    """Print ``columns`` of one thing of many, where the others are not known yet."""
    typer.echo("  ".join(_cell(record[column]) for column in columns))


def _cell(value: Any) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, list):
        return harmless(" ".join(value)) or EMPTY
    return EMPTY if value is None else harmless(str(value))


def harmless(text: str) -> str:
    """Escape what would steer the terminal: some of it was written by strangers."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)
