"""Secrets coming in: asked for without an echo, or the first line of standard input; never an argument."""

import sys

import typer

from callcov_auth.cli.errors import Unusable

# More than any password or token may have, so that what is cut here is refused there.
MAX_LINE_BYTES = 16 * 1024


def ask_new_password() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))
    return _first_line("password")


def ask_token() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("Token", hide_input=True)).strip()
    return _first_line("token").strip()


def ask_key() -> str:
    if sys.stdin.isatty():
        return str(typer.prompt("API key", hide_input=True)).strip()
    return _first_line("API key").strip()


def _first_line(what: str) -> str:
    raw = sys.stdin.buffer.readline(MAX_LINE_BYTES)
    try:
        line = raw.decode("utf-8").rstrip("\r\n")
    except UnicodeDecodeError:
        line = ""
    if not line:
        raise Unusable(
            f"The {what} is the first line of standard input, in UTF-8, and there is none: pipe it in, "
            "or run this at a terminal, where it is asked for."
        )
    return line
