"""``callcov-auth init``."""

import os
import secrets
from pathlib import Path

import typer

from callcov_auth.cli.errors import Unusable
from callcov_auth.cli.session import with_auth

ENV_FILE = Path(".env")
_SECRET = "CALLCOV_AUTH_SECRET"  # noqa: S105


def init() -> None:
    """Write .env in this folder, with a new secret in it, and create the database."""
    if any(name.upper() == _SECRET for name in os.environ):
        raise Unusable(
            f"{_SECRET} is set in the environment, which comes before {ENV_FILE}: unset it, "
            f"or do without {ENV_FILE} ('callcov-auth doctor' looks at what is set)."
        )
    _write_new(ENV_FILE, _content())
    try:
        with_auth(_nothing, makes_database=True)
    except BaseException:
        # Nothing was made with the secret yet, and with the file in place init could not be tried again.
        ENV_FILE.unlink()
        raise
    typer.echo(f"Wrote {ENV_FILE}, for your eyes only, and created the database.")
    typer.echo("Next: callcov-auth users add EMAIL --scope SCOPE, then callcov-auth serve")


def _content() -> str:
    return (
        "# The keys' pepper and the token signing key derive from it: whoever reads it can make both.\n"
        f"{_SECRET}={secrets.token_urlsafe(48)}\n"
        "CALLCOV_AUTH_DATABASE_URL=sqlite:///callcov_auth.db\n"
    )


def _write_new(path: Path, content: str) -> None:
    # The mode is there from the first moment, and a file or a link that exists is not followed.
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        raise Unusable(
            f"{path} exists and is never overwritten: move it away, or add to it by hand what "
            "'callcov-auth doctor' misses."
        ) from None
    except OSError as error:
        raise Unusable(
            f"{path} cannot be made here ({error.strerror}): run this in another folder."
        ) from None
    with open(descriptor, "w", encoding="utf-8") as file:
        file.write(content)


async def _nothing(_auth: object) -> None:
    """Opening the Auth has done all there is to do."""
