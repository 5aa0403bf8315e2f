"""``callcov-auth doctor``: what is wrong or soon will be, each with its cure. It changes nothing."""

from dataclasses import asdict

import typer

from callcov_auth.cli.commands import Json
from callcov_auth.cli.errors import REFUSED
from callcov_auth.cli.output import print_json
from callcov_auth.cli.progress import spinner


def doctor(as_json: Json = False) -> None:
    """Look for what is wrong with the settings, database, Redis, HTTPS, the secret, the clock and the keys.

    Exit code 1 if anything is found.
    """
    import anyio

    from callcov_auth.cli.checks import examine

    with spinner("Looking") as say:
        findings = anyio.run(examine, say)
    if as_json:
        print_json({"ok": not findings, "findings": [asdict(finding) for finding in findings]})
    elif not findings:
        typer.echo("Nothing found: settings, database, Redis, HTTPS, secret, clock and keys are in order.")
    else:
        for finding in findings:
            typer.echo(f"{finding.check}: {finding.problem}\n  cure: {finding.cure}\n  more: {finding.page}")
    if findings:
        raise typer.Exit(REFUSED)
