"""How far a long piece of work is, for somebody who looks on.

The work notes how far it is, and a thread of its own shows it, so that noting it costs next to nothing, and
what waits in one long call is seen to go on.
"""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from threading import Event, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.progress import Progress, ProgressColumn

Tell = Callable[[int, int | None], None]
"""Called with how much more is done, and how much there is in all, where that is known."""

# After how many seconds it is worth showing how far it is, and how often then.
PATIENCE = 1.0
SHOWN_EVERY = 0.1


@dataclass(slots=True)
class _Work:
    text: str
    done: int = 0
    total: int | None = None


@contextmanager
def progress(what: str) -> Iterator[Tell]:
    """Show how much is done of what can be counted, where somebody looks on and it takes its time."""
    work = _Work(what)

    def tell(more: int, total: int | None) -> None:
        work.done += more
        work.total = total

    with _seen(work, _bar):
        yield tell


@contextmanager
def spinner(what: str) -> Iterator[Callable[[str], None]]:
    """Show that something goes on, as ``progress`` does; what is given is called with another text for it."""
    work = _Work(what)

    def say(text: str) -> None:
        work.text = text

    with _seen(work, _spinner):
        yield say


@contextmanager
def _seen(work: _Work, draw: "Callable[[], Progress]") -> Iterator[None]:
    if not sys.stderr.isatty():
        yield
        return
    ended = Event()
    onlooker = Thread(target=_look_on, args=(work, draw, ended), daemon=True)
    onlooker.start()
    try:
        yield
    finally:
        ended.set()
        # What is printed next must not get into it.
        onlooker.join()


def _look_on(work: _Work, draw: "Callable[[], Progress]", ended: Event) -> None:
    if ended.wait(PATIENCE):
        return
    with draw() as shown:
        task = shown.add_task(work.text, total=work.total)
        while not ended.wait(SHOWN_EVERY):
            shown.update(task, description=work.text, completed=work.done, total=work.total)


def _bar() -> "Progress":
    from rich.progress import BarColumn, MofNCompleteColumn, TimeRemainingColumn

    return _on_stderr(_text(), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())


def _spinner() -> "Progress":
    from rich.progress import SpinnerColumn, TimeElapsedColumn

    return _on_stderr(SpinnerColumn(), _text(), TimeElapsedColumn())


def _text() -> "ProgressColumn":
    from rich.progress import TextColumn

    return TextColumn("{task.description}", markup=False)


def _on_stderr(*columns: "ProgressColumn") -> "Progress":
    from rich.console import Console
    from rich.progress import Progress

    # It goes away when it is done. What is printed to standard output, rich would show beside it instead.
    return Progress(
        *columns,
        console=Console(stderr=True),
        transient=True,
        redirect_stdout=False,
    )
