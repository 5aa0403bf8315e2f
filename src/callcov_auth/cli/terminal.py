"""What people see at a terminal, by rich: tables, and never one in which an id or a key's prefix is cut."""

import re
from collections.abc import Sequence

from rich import box
from rich.cells import cell_len
from rich.console import Console
from rich.table import Table
from rich.text import Text

from callcov_auth.cli.output import EMPTY

# How many characters stand between two columns.
GAP = 2
NAME = "bold cyan"
# A time, and as people read it: in two words, so that it can be broken too.
_TIME = re.compile(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)\.\d+Z$")
_READ = r"\1 \2Z"

Cells = Sequence[str]


def show_table(names: Cells, rows: Sequence[Cells]) -> None:
    """Show a table; one thing below the other where it does not fit into the terminal.

    Columns in which nothing stands are left out, and lines are broken between words alone.
    """
    console = Console()
    if not rows:
        console.print("None.")
        return
    columns = [
        (name, *map(_read, cells)) for name, *cells in zip(names, *rows, strict=True) if set(cells) != {EMPTY}
    ]
    widths = _fitting(columns, console.width)
    if widths is None:
        _show_apart(console, columns)
        return
    table = Table(
        box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, GAP - 1, 0, 0), header_style=NAME
    )
    for column, width in zip(columns, widths, strict=True):
        table.add_column(Text(column[0]), width=width, overflow="fold")
    for row in list(zip(*columns, strict=True))[1:]:
        table.add_row(*map(Text, row))
    console.print(table)


def show_record(names: Cells, values: Cells) -> None:
    """Show one thing, a line for each value. A long one is broken by the terminal, and so copied whole."""
    console = Console()
    width = max(map(len, names))
    for name, value in zip(names, values, strict=True):
        console.print(Text.assemble((name.ljust(width), NAME), "  ", _read(value)), soft_wrap=True)


def _show_apart(console: Console, columns: Sequence[Cells]) -> None:
    names, *rows = zip(*columns, strict=True)
    for number, values in enumerate(rows):
        if number:
            console.print()
        show_record(names, values)


def _read(value: str) -> str:
    return _TIME.sub(_READ, value)


def _fitting(columns: Sequence[Cells], room: int) -> Sequence[int] | None:
    """Return how wide each column is, where the widest give way; None where their words are too long."""
    room -= GAP * (len(columns) - 1)
    widths = [max(map(cell_len, cells)) for cells in columns]
    words = [max(cell_len(word) for cell in cells for word in cell.split()) for cells in columns]
    if sum(words) > room:
        return None
    while sum(widths) > room:
        slack = [at for at in range(len(columns)) if widths[at] > words[at]]
        widths[max(slack, key=widths.__getitem__)] -= 1
    return widths
