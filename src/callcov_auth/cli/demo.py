"""``callcov-auth demo``."""

from typing import Annotated

import typer


def demo(
    check: Annotated[
        bool, typer.Option("--check", help="Go through the whole conversation, and end.")
    ] = False,
    port: Annotated[
        int, typer.Option(help="Where the demo listens, on 127.0.0.1; 0 for a free one.", min=0, max=65535)
    ] = 8000,
) -> None:
    """Run a small CallCov on a throw-away database, and print requests to try on it."""
    from callcov_auth.demo.check import run_check
    from callcov_auth.demo.server import run_demo

    if check:
        raise typer.Exit(run_check())
    run_demo(port)
