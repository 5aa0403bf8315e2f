"""What every command is made of. Nothing here or in the nouns loads the rooms before a command runs."""

from typing import Annotated, Any

import typer
from typer.core import TyperCommand, TyperGroup

from callcov_auth.cli.errors import INTERRUPTED, Unusable, explained

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document.")]


def _told_of_commas(scopes: list[str] | None) -> list[str] | None:
    """A comma may stand in a scope (RFC 6749 §3.3), but hardly ever was one meant."""
    if any("," in scope for scope in scopes or ()):
        typer.echo("note: with a comma in it, it is one scope; for several, give --scope again", err=True)
    return scopes


Scopes = Annotated[
    list[str] | None,
    typer.Option(
        "--scope", metavar="SCOPE", help="A scope; give it again for more.", callback=_told_of_commas
    ),
]


# No command and no slip in one is so long.
_LIKE_A_SECRET = 24


def key_id(given: str) -> str:
    """Refuse a key where its id belongs, without showing it."""
    if given.startswith("sk_"):
        raise Unusable("This takes a key's id, not the key: 'callcov-auth keys who' tells the id.")
    return given


class Command(TyperCommand):
    """Refuses an argument too many without showing it: it may be a password typed in the wrong place."""

    allow_extra_args = True

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        rest = super().parse_args(ctx, args)
        # Where a shell only asks what may come next, nothing is refused.
        if rest and not ctx.resilient_parsing:
            ctx.fail(
                "There is an argument too many. Passwords and tokens are never arguments: "
                "they are asked for, or read from standard input."
            )
        return rest


class Group(TyperGroup):
    """Does not show what was typed in the place of a command where it may be a key or a token."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        if len(args[0]) >= _LIKE_A_SECRET and not ctx.resilient_parsing:
            ctx.fail(
                "There is no such command, and it is not shown, since it may be a secret. "
                "Keys and tokens are asked for, or read from standard input."
            )
        return super().resolve_command(ctx, args)


class Commands(Group):
    """Ends a command that was refused with a clear line in the place of a traceback."""

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except typer.Abort:
            # Ctrl-C where something was asked for.
            raise typer.Exit(INTERRUPTED) from None
        except Exception as error:
            problem = explained(error)
            if problem is None:
                raise
        for line in problem.lines:
            typer.echo(f"error: {line}", err=True)
        raise typer.Exit(problem.exit_code)


def noun(about: str, *, cls: type[TyperGroup] = Group) -> typer.Typer:
    """Return an empty group of commands."""
    return typer.Typer(
        cls=cls,
        help=about,
        no_args_is_help=True,
        rich_markup_mode=None,
        # They would show local variables, and secrets with them.
        pretty_exceptions_enable=False,
    )
