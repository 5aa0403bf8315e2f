"""``callcov-auth keys scan``."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from callcov_auth.cli.commands import Json
from callcov_auth.cli.errors import REFUSED, UNUSABLE, Unusable, explained
from callcov_auth.cli.output import harmless, print_json, print_table
from callcov_auth.cli.progress import progress, spinner
from callcov_auth.cli.session import with_auth_from
from callcov_auth.cli.who import state_of

if TYPE_CHECKING:
    from callcov_auth.auth import Auth
    from callcov_auth.cli.leaks import Found, LeakSearch
    from callcov_auth.settings import AuthSettings
    from callcov_auth.store.protocol import OwnedKey

COLUMNS = ("found_in", "key_prefix", "mac_valid", "id", "owner", "state")

_PATTERN_ALONE = (
    "Only the pattern was looked for, which other services' keys may have too: without --pattern, and where "
    "CALLCOV_AUTH_SECRET is set, yours are told from them."
)


def scan(
    paths: Annotated[
        list[str], typer.Argument(metavar="PATH...", help="Files and folders.", show_default=False)
    ],
    git: Annotated[
        bool, typer.Option("--git", help="Look through all of a repository's history, too.")
    ] = False,
    pattern: Annotated[
        bool, typer.Option("--pattern", help="Find what looks like a key, whatever secret it was made with.")
    ] = False,
    revoke: Annotated[bool, typer.Option("--revoke", help="Revoke every key that is found.")] = False,
    as_json: Json = False,
) -> None:
    """Find our API keys in files, folders and archives: where, and whose they are. They are not shown.

    With the secret at hand, its MAC tells our keys from all others. Files that git ignores are looked at;
    its own folders are with --git alone.

    Exit code 1 if a key is found, 2 if none is, and not everything could be read.
    """
    settings = None if pattern else _settings()
    if revoke and pattern:
        raise Unusable(
            "--revoke ends the keys of this deployment, and --pattern finds others' too: leave one."
        )
    if revoke and (settings is None or settings.is_resource_server):
        raise Unusable("--revoke needs CALLCOV_AUTH_SECRET, and the database that has the keys: set both.")
    search = _searched(paths, settings, git=git)
    known = _known(search.found, settings, revoke=revoke)
    _print(search, known, as_json=as_json)
    if known.problem is not None:
        raise known.problem
    if known.records:
        raise typer.Exit(REFUSED)
    if search.unread:
        raise typer.Exit(UNUSABLE)


@dataclass(frozen=True, slots=True)
class _Known:
    """What is told of the keys. ``notes`` are for people; ``problem`` kept ``--revoke`` from its work."""

    records: Sequence[dict[str, Any]]
    checked_by: str
    revoked: int = 0
    notes: Sequence[str] = ()
    problem: Exception | None = None


def _settings() -> "AuthSettings | None":
    """Return None where no secret is set, as where others' code is looked through."""
    from callcov_auth.settings import SECRET_MISSING, AuthSettings, SettingsError

    try:
        return AuthSettings()
    except SettingsError as error:
        if str(error) == SECRET_MISSING:
            return None
        raise


def _searched(paths: Sequence[str], settings: "AuthSettings | None", *, git: bool) -> "LeakSearch":
    from callcov_auth.cli.leaks import LeakSearch

    for number, path in enumerate(paths, 1):
        # By its number, for it may be a key that was typed in the wrong place.
        if not os.path.lexists(path):
            raise Unusable(
                f"PATH {number} is not there: name files and folders, or 'keys who' tells of a key."
            )
    with spinner("Looking through files") as say:
        search = LeakSearch(
            () if settings is None else settings.key_mac_keys,
            lambda files, found: say(f"{files} files, {found} keys"),
        )
        for path in paths:
            search.look_through(path, git=git)
    return search


def _known(found: "Sequence[Found]", settings: "AuthSettings | None", *, revoke: bool) -> _Known:
    """Ask the database whose the keys are, where there is one; it is neither made nor changed."""
    from callcov_auth.cli.checks import missing_database

    if settings is None or not settings.key_mac_keys:
        return _Known([_record(one, None, None) for one in found], "pattern", notes=[_PATTERN_ALONE])
    if not found:
        return _Known((), "mac")
    missing = missing_database(settings)
    try:
        if missing is not None:
            raise Unusable(f"The database: {missing.problem}; {missing.cure}")
        quiet = settings.replace(auto_migrate=False, signing_key_rotation_days=None)
        return with_auth_from(quiet, lambda auth: _asked(auth, found, revoke=revoke))
    except Exception as error:
        problem = explained(error)
        if problem is None:
            raise
        genuine = [_record(one, None, None) for one in found if one.find.genuine]
        if revoke:
            return _Known(genuine, "mac", problem=error)
        notes = [f"Whose they are was not asked. {line}" for line in problem.lines if genuine]
        return _Known(genuine, "mac", notes=notes)


async def _asked(auth: "Auth", found: "Sequence[Found]", *, revoke: bool) -> _Known:
    """Return what the database knows of each; what only looks like a key of ours is left out."""
    known: dict[str, OwnedKey | None] = {}
    ended = 0
    with progress("Asking whose they are") as tell:
        for one in found:
            text = one.find.text
            # Keys that were imported may have no MAC of ours.
            if text not in known and (one.find.genuine or auth.keys.validator.foreign_keys):
                known[text] = owned = await auth.keys.find(text)
                if revoke and owned is not None and owned.key.revoked_at is None:
                    await auth.keys.revoke(owned.key.id)
                    known[text] = await auth.keys.find(text)
                    ended += 1
            tell(1, len(found))
    told = [(one, known.get(one.find.text)) for one in found]
    records = [
        _record(one, owned, "unknown" if owned is None else state_of(owned, auth.now))
        for one, owned in told
        if one.find.genuine or owned is not None
    ]
    return _Known(records, "mac", ended)


def _record(found: "Found", owned: "OwnedKey | None", state: str | None) -> dict[str, Any]:
    from callcov_auth.keys.finder import redacted

    return {
        "path": redacted(found.place),
        "line": found.line,
        "key_prefix": found.find.prefix,
        "mac_valid": found.find.genuine,
        "id": None if owned is None else owned.key.id,
        "owner": None if owned is None else owned.key.owner,
        "state": state,
    }


def _print(search: "LeakSearch", known: _Known, *, as_json: bool) -> None:
    from callcov_auth.keys.finder import redacted

    finds = sorted(known.records, key=lambda record: (record["path"], record["line"] or 0))
    lookalikes = len(search.found) - len(finds)
    unread = [{"path": redacted(one.place), "problem": one.problem} for one in search.unread]
    if as_json:
        print_json(
            {
                "checked_by": known.checked_by,
                "files": search.files,
                "finds": finds,
                "lookalikes": lookalikes,
                "revoked": known.revoked,
                "unread": unread,
            }
        )
    elif finds:
        print_table([record | {"found_in": _place(record)} for record in finds], COLUMNS)
    _tell(f"Files looked through: {search.files}; places with a key: {len(finds)}.", *known.notes)
    if lookalikes:
        _tell(
            f"What looks like a key, and was not made with this secret: {lookalikes}. --pattern shows where."
        )
    if known.revoked:
        _tell(f"Keys revoked now: {known.revoked}.")
    if any(record["state"] == "unknown" for record in finds):
        _tell("What is unknown is in no row of this database, and is not ended here.")
    if any(record["state"] == "active" for record in finds):
        _tell("End each that works with 'callcov-auth keys revoke KEY_ID', or all with --revoke.")
    for one in unread:
        _tell(f"not read: {one['path']}: {one['problem']}")


def _place(record: dict[str, Any]) -> str:
    return record["path"] if record["line"] is None else f"{record['path']}:{record['line']}"


def _tell(*lines: str) -> None:
    for line in lines:
        typer.echo(harmless(line), err=True)
