"""How far a long piece of work is, for somebody who looks on."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

Tell = Callable[[int, int | None], None]
"""Called with how many rows more are done, and how many there are in all, where that is known."""

# After how many seconds it is worth showing how far it is.
PATIENCE = 1.0


@contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Show how far it is, where somebody looks on and it takes its time."""
    if not sys.stderr.isatty():
        yield lambda _rows, _total: None
        return
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn(what), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    bar = Progress(*columns, console=Console(stderr=True))
    task = bar.add_task(what, total=None)
    begun = time.monotonic()

    def tell(rows: int, total: int | None) -> None:
        if time.monotonic() - begun > PATIENCE:
            bar.start()
        bar.update(task, advance=rows, total=total)

    try:
        yield tell
    finally:
        bar.stop()
