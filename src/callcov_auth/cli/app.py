"""All commands in their places."""

from callcov_auth.cli import db, keys, signing_keys, tokens, users
from callcov_auth.cli.commands import Command, Commands, noun
from callcov_auth.cli.demo import demo
from callcov_auth.cli.doctor import doctor
from callcov_auth.cli.init import init
from callcov_auth.cli.serve import serve

app = noun("CallCov's authentication: set it up, look after it, serve it.", cls=Commands)

for command in (init, doctor, demo, serve):
    app.command(cls=Command)(command)
app.add_typer(users.app, name="users")
app.add_typer(keys.app, name="keys")
app.add_typer(tokens.app, name="tokens")
app.add_typer(signing_keys.app, name="signing-keys")
app.add_typer(db.app, name="db")


def main() -> None:
    """Run the command line and end the process: 0 done, 1 refused or a finding, 2 cannot be used so."""
    app(prog_name="callcov-auth")
