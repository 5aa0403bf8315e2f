"""All commands in their places."""

from typing import Annotated

import typer

from callcov_auth._version import __version__
from callcov_auth.cli import audit, db, keys, signing_keys, tokens, users
from callcov_auth.cli.commands import Command, Commands, noun
from callcov_auth.cli.demo import demo
from callcov_auth.cli.doctor import doctor
from callcov_auth.cli.init import init
from callcov_auth.cli.serve import serve

app = noun("CallCov's authentication: set it up, look after it, serve it.", cls=Commands)


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"callcov-auth {__version__}")
        raise typer.Exit()


@app.callback()
def callcov_auth(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Show the version.")
    ] = False,
) -> None:
    """What is asked of the program itself, not of a command."""


for command in (init, doctor, demo, serve):
    app.command(cls=Command)(command)
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(tokens.app, name="tokens")
app.add_typer(signing_keys.app, name="signing-keys")
app.add_typer(audit.app, name="audit")
app.add_typer(db.app, name="db")


def main() -> None:
    """Run the command line and end the process: 0 done, 1 refused or a finding, 2 cannot be used so."""
    app(prog_name="callcov-auth")
