"""A terminal for a command to run at: a pseudo-terminal of a chosen width, and all that was shown on it."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from tests.cli.running import TIMEOUT

# What says of itself how a terminal should be written to.
_TOLD = ("COLUMNS", "LINES", "NO_COLOR", "FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE")
# ECMA-48 §5.4: a sequence that sets a style, moves about or erases; or one other character.
_PART = re.compile(r"\x1b\[(?P<number>[0-9;?]*)(?P<kind>[A-Za-z])|.", re.S)
# A style with a colour in it.
COLOUR = re.compile(r"\x1b\[(?:\d+;)*(?:3|4|9|10)[0-9](?:;[0-9;]*)?m")


def on_screen(written: str) -> str:
    """Return what can be read in the end: no styles, and not what was erased or written over."""
    lines, row, column = [""], 0, 0
    for part in _PART.finditer(written):
        if part["kind"] == "A":
            row -= int(part["number"] or 1)
        elif part["kind"] == "K":
            lines[row] = "" if part["number"] == "2" else lines[row][:column]
        elif part[0] == "\n":
            row += 1
            lines += [""] * (row == len(lines))
        elif part[0] == "\r":
            column = 0
        elif part["kind"] is None:
            lines[row] = lines[row][:column].ljust(column) + part[0] + lines[row][column + 1 :]
            column += 1
    return "\n".join(lines)


@dataclass
class Terminal:
    """A process at the other end of a pseudo-terminal, and all that it showed."""

    process: subprocess.Popen[bytes]
    descriptor: int
    shown: bytes = field(default=b"")

    @property
    def raw(self) -> str:
        return self.shown.decode()

    @property
    def text(self) -> str:
        return on_screen(self.raw)

    def wait_for(self, text: str) -> None:
        """Wait until something new holds ``text``."""
        start = len(self.shown)
        while text.encode() not in self.shown[start:]:
            assert self._read(), f"no {text!r} after {self.shown!r}"

    def type(self, text: str) -> None:
        os.write(self.descriptor, text.encode())

    def answer(self, prompt: str, text: str, *, end: str = "\n") -> None:
        """Wait for ``prompt``, and type ``text``."""
        self.wait_for(prompt)
        self.type(text + end)

    def ended(self) -> int:
        """Wait for the end, and return the exit code."""
        while self._read():
            pass
        return self.process.wait(TIMEOUT)

    def _read(self) -> bool:
        ready, _, _ = select.select([self.descriptor], [], [], TIMEOUT)
        assert ready, f"nothing more after {self.shown!r}"
        try:
            read = os.read(self.descriptor, 4096)
        except OSError:
            # Linux's way to say that the other end is closed.
            return False
        self.shown += read
        return bool(read)


@contextmanager
def at_terminal(command: Sequence[str], *, columns: int = 80, **env: str) -> Iterator[Terminal]:
    """Run a program at a terminal."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name not in _TOLD}
    process = subprocess.Popen(
        command,
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment | {"TERM": "xterm-256color"} | env,
        start_new_session=True,
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        os.close(ours)
        process.kill()
        process.wait(TIMEOUT)


@contextmanager
def terminal(*arguments: str, columns: int = 80, **env: str) -> Iterator[Terminal]:
    """Run a command of ours at a terminal."""
    with at_terminal([sys.executable, "-m", "callcov_auth", *arguments], columns=columns, **env) as screen:
        yield screen


def shown(*arguments: str, columns: int = 80, **env: str) -> Terminal:
    """Run a command that succeeds, and return what it left on the terminal."""
    with terminal(*arguments, columns=columns, **env) as screen:
        assert screen.ended() == 0, screen.text
    return screen
