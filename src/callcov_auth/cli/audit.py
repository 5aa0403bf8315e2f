"""``callcov-auth audit``."""

import json
import re
import sys
import time
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from callcov_auth.cli.commands import Command, Json, key_id, noun
from callcov_auth.cli.errors import Unusable
from callcov_auth.cli.output import print_json, print_line, print_table
from callcov_auth.cli.progress import Tell, progress
from callcov_auth.cli.session import with_auth

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from callcov_auth.auth import Auth
    from callcov_auth.store.protocol import AuditEntry, AuditStore

COLUMNS = ("at", "event", "actor", "subject", "key_id", "session_id", "client", "request_id", "detail")
# How many entries are read at once.
PAGE = 1000
# How often 'tail --follow' looks for new ones, in seconds.
INTERVAL = 1.0
UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}

Key = Annotated[
    str | None,
    typer.Option(
        "--key",
        metavar="KEY_ID",
        help="What was done with one key, and to it.",
        callback=lambda given: None if given is None else key_id(given),
    ),
]
User = Annotated[
    str | None, typer.Option("--user", metavar="ID|EMAIL", help="What was done with one user's account.")
]
Since = Annotated[
    str | None, typer.Option("--since", metavar="WHEN", help="30m, 12h, 7d, or 2026-01-31T12:00 (in UTC).")
]

app = noun("The audit log: who did what to which key, when, and from where.")


@app.command("list", cls=Command)
def list_entries(
    key: Key = None,
    user: User = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many; the newest are shown.")] = 100,
    as_json: Json = False,
) -> None:
    """List the newest entries, the latest last."""

    async def work(auth: "Auth") -> "Sequence[AuditEntry]":
        log = await _Log.of(auth, key, user, since)
        entries = await log.newest(limit)
        if not entries and key is not None and await auth.store.key(key) is None:
            typer.echo("There is no such key: 'callcov-auth keys list --all' shows them all.", err=True)
        # They are kept as they were written, by each process in its own time.
        return sorted(entries, key=lambda entry: (entry.at, entry.id))

    entries = with_auth(work)
    if as_json:
        print_json({"entries": [_record(entry) for entry in entries]})
        return
    print_table([_shown(entry) for entry in entries], COLUMNS)
    if len(entries) == limit:
        typer.echo("There may be earlier ones: give a higher --limit, or use 'audit export'.", err=True)


@app.command(cls=Command)
def tail(
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with what comes, until Ctrl-C.")
    ] = False,
    key: Key = None,
    user: User = None,
    since: Since = None,
    limit: Annotated[int, typer.Option(min=0, max=10_000, help="How many to begin with.")] = 10,
    as_json: Annotated[bool, typer.Option("--json", help="Print a JSON object for each.")] = False,
) -> None:
    """Print the newest entries, each on a line of its own."""

    async def work(auth: "Auth") -> None:
        import anyio

        log = await _Log.of(auth, key, user, since)
        after = await log.end()
        entries = await log.newest(limit)
        _print(entries, as_json=as_json)
        after = max([after, *(_id(entry) for entry in entries)])
        while follow:
            async for page in log.pages(after):
                _print(page, as_json=as_json)
                after = _id(page[-1])
            await anyio.sleep(INTERVAL)

    with_auth(work)


@app.command(cls=Command)
def export(key: Key = None, user: User = None, since: Since = None) -> None:
    """Write the entries to standard output, the latest last: JSON lines, an object for each."""

    async def work(auth: "Auth") -> None:
        log = await _Log.of(auth, key, user, since)
        with _progress() as tell:
            async for page in log.pages(after=0):
                _print(page, as_json=True)
                tell(len(page), None)

    with_auth(work)


@dataclass(frozen=True, slots=True)
class _Log:
    """The log of a store, as far as somebody wants to see it."""

    store: "AuditStore"
    key_id: str | None
    subject: str | None
    since: float | None

    @classmethod
    async def of(cls, auth: "Auth", key: str | None, user: str | None, since: str | None) -> "_Log":
        if user is not None and "@" in user:
            user = (await auth.users.by_email(user)).id
        return cls(cast("AuditStore", auth.store), key, user, None if since is None else _moment(since))

    async def newest(self, limit: int) -> "Sequence[AuditEntry]":
        return await self.store.audit_entries(
            key_id=self.key_id, subject=self.subject, since=self.since, limit=limit
        )

    async def end(self) -> int:
        """Return the id of the newest entry of all; 0 where there is none."""
        return max((_id(entry) for entry in await self.store.audit_entries(limit=1)), default=0)

    async def pages(self, after: int) -> "AsyncIterator[Sequence[AuditEntry]]":
        while page := await self.store.audit_entries(
            after=after, key_id=self.key_id, subject=self.subject, since=self.since, limit=PAGE
        ):
            yield page
            after = _id(page[-1])


def _moment(text: str) -> float:
    """Return what ``--since`` means, in Unix seconds."""
    ago = re.fullmatch(r"([0-9]{1,6})([smhdw])", text)
    if ago:
        return time.time() - int(ago[1]) * UNITS[ago[2]]
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Unusable(
            "--since is no time: write 30m, 12h, 7d, or a date and time such as 2026-01-31T12:00, in UTC."
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _progress() -> AbstractContextManager[Tell]:
    # Where the lines themselves are to be seen, they are progress enough.
    return nullcontext(lambda _rows, _total: None) if sys.stdout.isatty() else progress("Exporting")


def _print(entries: "Sequence[AuditEntry]", *, as_json: bool) -> None:
    for entry in entries:
        if as_json:
            typer.echo(json.dumps(_record(entry)))
        else:
            print_line(_shown(entry), COLUMNS)


def _record(entry: "AuditEntry") -> dict[str, Any]:
    from callcov_auth.asgi.answers import rfc3339

    record = {"id": entry.id} | asdict(entry)
    return record | {"at": rfc3339(entry.at), "detail": json.loads(entry.detail)}


def _shown(entry: "AuditEntry") -> dict[str, Any]:
    record = _record(entry)
    detail = [f"{name}={value}" for name, value in record["detail"].items() if value is not None]
    return record | {"detail": detail}


def _id(entry: "AuditEntry") -> int:
    return cast("int", entry.id)
