"""Users from elsewhere: rows as other programs have them, and what becomes of each at its login."""

import sys
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import anyio
import bcrypt
import pytest
from argon2 import PasswordHasher, Type

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable, Conflict, InvalidCredentials
from callcov_auth.events import Event, UserChanged
from callcov_auth.importing import ImportLine, Table, Tally
from callcov_auth.store.protocol import User
from callcov_auth.store.sql import SqlStore
from callcov_auth.users.foreign_tables import fastapi_users
from callcov_auth.users.imports import OURS, UserImport
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

EMAIL = "ada@example.com"
PASSWORD = "correct horse battery staple"
UUID = "8c9b6b3e-6a1f-4f0e-9a83-6f5c5d2b7c11"


def argon2(password: str = PASSWORD, kind: Type = Type.ID, **costs: Any) -> str:
    cheap = {"time_cost": 1, "memory_cost": 16, "parallelism": 2, **costs}
    return PasswordHasher(**cheap, type=kind).hash(password)


def bcrypted(password: str = PASSWORD, prefix: bytes = b"2b") -> str:
    return bcrypt.hashpw(password.encode()[:72], bcrypt.gensalt(4, prefix)).decode()


# Each kind of hash, by who makes it.
HASHES = {
    "argon2id": argon2(),
    "argon2i": argon2(kind=Type.I),
    "argon2d": argon2(kind=Type.D),
    "bcrypt": bcrypted(),
    "bcrypt 2a": bcrypted(prefix=b"2a"),
    "bcrypt 2y": bcrypted().replace("$2b$", "$2y$"),
}


@pytest.fixture
async def auth(clock: Clock) -> AsyncIterator[Auth]:
    async with Auth(make_settings(login_rate=None), clock=clock) as opened:
        yield opened


def row(**changes: Any) -> dict[str, Any]:
    right = {"email": EMAIL, "password_hash": argon2(), **changes}
    return {name: value for name, value in right.items() if value is not None}


def theirs(**changes: Any) -> dict[str, Any]:
    """A row of fastapi-users, as CSV has it."""
    marks = {"is_active": "1", "is_superuser": "0", "is_verified": "0"}
    return {"id": UUID, "email": EMAIL, "hashed_password": argon2(), **marks, **changes}


async def take(
    auth: Auth, *rows: dict[str, Any], table: Table = OURS, scopes: list[str] | None = None
) -> Tally:
    """Import rows in one batch; their numbers start at 1."""
    importing = UserImport(
        auth.store, clock=lambda: auth.now, table=table, scopes=scopes or [], on_event=auth.on_event
    )
    await importing.take([ImportLine(number, fields) for number, fields in enumerate(rows, 1)])
    return importing.tally


async def take_one(auth: Auth, fields: dict[str, Any], **options: Any) -> User:
    """Import one row, and return the user as it is stored."""
    tally = await take(auth, fields, **options)
    assert (tally.imported, tally.present, tally.refusals) == (1, 0, [])
    return (await auth.users.list())[-1]


async def refused(auth: Auth, fields: dict[str, Any], **options: Any) -> tuple[str, str]:
    """Import one row that is refused; return the field, and why."""
    tally = await take(auth, fields, **options)
    assert (tally.imported, tally.present, tally.refused) == (0, 0, 1)
    (refusal,) = tally.refusals
    assert await auth.users.list() == []
    return refusal.field, refusal.reason


async def login(auth: Auth, password: str = PASSWORD, email: str = EMAIL) -> bool:
    try:
        await auth.tokens.login(email, password)
    except InvalidCredentials:
        return False
    return True


# Passwords


@pytest.mark.parametrize("name", HASHES)
async def test_an_old_password_works_and_its_hash_is_ours_after_the_first_login(
    auth: Auth, name: str
) -> None:
    user = await take_one(auth, row(password_hash=HASHES[name]))
    assert not await login(auth, PASSWORD.upper())
    assert (await auth.users.get(user.id)).password_hash == HASHES[name], "a wrong password changes nothing"

    assert await login(auth)
    renewed = (await auth.users.get(user.id)).password_hash
    assert renewed.startswith("$argon2id$v=19$m=8,t=1,p=1$")
    assert await login(auth)
    assert not await login(auth, PASSWORD.upper())
    assert (await auth.users.get(user.id)).password_hash == renewed


async def test_a_password_past_what_bcrypt_reads_works_as_it_did(auth: Auth) -> None:
    """Older libraries cut it silently. After the first login the whole of it counts."""
    long = "p" * 72 + "and more"
    await take_one(auth, row(password_hash=bcrypted(long)))
    assert await login(auth, long)
    assert not await login(auth, "p" * 72)


async def test_a_password_in_letters_of_several_bytes(auth: Auth) -> None:
    for number, made in enumerate((argon2("Grüße, 世界"), bcrypted("Grüße, 世界"))):
        await take_one(auth, row(email=f"{number}@example.com", password_hash=made))
        assert await login(auth, "Grüße, 世界", f"{number}@example.com")


async def test_without_a_hash_nobody_logs_in_until_a_password_is_set(auth: Auth) -> None:
    user = await take_one(auth, row(password_hash=None))
    for password in ("", "!", PASSWORD):
        with pytest.raises(InvalidCredentials):
            await auth.users.check_password(EMAIL, password)
    await auth.users.set_password(user.id, PASSWORD)
    assert await login(auth)


async def test_a_hash_that_cannot_be_read_matches_nothing(auth: Auth) -> None:
    cut_short = argon2().rpartition("$")[0] + "$YQ"
    await take_one(auth, row(password_hash=cut_short))
    assert not await login(auth)


async def test_without_bcrypt_a_login_that_needs_it_is_503_and_the_log_has_the_cure(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_one(auth, row(password_hash=bcrypted()))
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    with pytest.raises(AuthUnavailable) as unavailable:
        await auth.tokens.login(EMAIL, PASSWORD)
    assert "pip install 'callcov-auth[import]'" in unavailable.value.reason
    assert "import" not in unavailable.value.message

    tally = await take(auth, row(email="bob@example.com", password_hash=bcrypted()))
    assert [(refusal.field, refusal.reason) for refusal in tally.refusals] == [
        ("password_hash", "needs bcrypt: pip install 'callcov-auth[import]'")
    ]


async def test_bcrypt_waits_in_the_same_lane_as_every_login(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_one(auth, row(password_hash=bcrypted()))
    await take_one(auth, row(email="bob@example.com", password_hash=argon2()))
    release, running = threading.Event(), []

    def slow(_password: bytes, _hash: bytes) -> bool:
        running.append(threading.current_thread())
        release.wait(10)
        return True

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    finished = []

    async def log_in(email: str) -> None:
        await login(auth, email=email)
        finished.append(email)

    async with anyio.create_task_group() as group:
        for _ in range(3):
            group.start_soon(log_in, EMAIL)
        with anyio.fail_after(10):
            while not running:
                await anyio.sleep(0.001)
        group.start_soon(log_in, "bob@example.com")
        await anyio.sleep(0.05)
        assert (len(running), finished) == (1, []), "the loop is free, and one hash is made at a time"
        release.set()
    assert threading.main_thread() not in running
    assert sorted(finished) == [EMAIL] * 3 + ["bob@example.com"]


async def test_unknown_emails_take_as_many_kinds_of_work_as_users_have(
    auth: Auth, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the time of a refusal would tell an unknown email from one that was imported."""
    for number in range(40):
        made = argon2() if number % 2 else argon2(memory_cost=8, parallelism=1)
        await take(auth, row(email=f"{chr(97 + number % 26)}{number}@example.com", password_hash=made))
    worked: list[str] = []
    verify = PasswordHasher.verify

    def watched(self: PasswordHasher, password_hash: str, password: str) -> bool:
        worked.append(password_hash.split("$")[3])
        return verify(self, password_hash, password)

    monkeypatch.setattr(PasswordHasher, "verify", watched)

    async def work_for(email: str) -> str:
        worked.clear()
        assert not await login(auth, "wrong", email)
        (work,) = worked
        return work

    works = [await work_for(f"nobody{number}@example.com") for number in range(40)]
    assert 5 < works.count("m=8,t=1,p=1") < 35
    again = [await work_for(f"nobody{number}@example.com") for number in range(40)]
    assert again == works, "one email always takes the same"


async def test_a_wrong_password_asks_the_store_as_often_as_an_unknown_email(auth: Auth) -> None:
    asked: list[str] = []

    class Watched:
        def __getattr__(self, name: str) -> Any:
            asked.append(name)
            return getattr(auth.store, name)

    await take(auth, row(), row(email="gone@example.com", disabled_at=1))
    auth.users._store = Watched()  # type: ignore[assignment]
    seen = []
    for email, password in (
        (EMAIL, "wrong"),
        ("nobody@example.com", PASSWORD),
        ("gone@example.com", PASSWORD),
    ):
        assert not await login(auth, password, email)
        seen.append(sorted(asked))
        asked.clear()
    assert seen == [["password_hash_near", "user_by_email"]] * 3


async def test_another_users_password_is_not_that_of_an_unknown_email(auth: Auth) -> None:
    await take_one(auth, row())
    assert not await login(auth, PASSWORD, "nobody@example.com")


# What a row says


async def test_a_row_of_ours(auth: Auth, clock: Clock) -> None:
    user = await take_one(
        auth,
        row(email="Ada@Example.com", id="user-17", scopes="calls:read  calls:write", created_at="1700000000"),
        scopes=["calls:read", "extra"],
    )
    assert (user.id, user.email, user.created_at) == ("user-17", EMAIL, 1_700_000_000.0)
    assert user.scopes == {"calls:read", "calls:write", "extra"}
    assert user.disabled_at is None
    other = await take_one(auth, row(email="bob@example.com", disabled_at="2024-01-01T00:00:00Z"))
    assert other.id.startswith("usr_")
    assert (other.created_at, other.disabled_at, other.scopes) == (clock(), 1704067200.0, frozenset())


async def test_a_users_own_id_is_the_subject_of_tokens_and_owns_keys(auth: Auth) -> None:
    await take_one(auth, theirs(), table=fastapi_users(), scopes=["calls:read"])
    pair = await auth.tokens.login(EMAIL, PASSWORD)
    principal = await auth.authenticate(f"Bearer {pair.access_token.get_secret_value()}")
    key = await auth.keys.create(UUID, name="k")
    assert (principal.subject, principal.scopes, key.scopes) == (UUID, {"calls:read"}, {"calls:read"})


@pytest.mark.parametrize(
    ("marks", "scopes"),
    [
        ({}, {"all"}),
        ({"is_superuser": "t"}, {"all", "admin", "ops"}),
        ({"is_verified": "True"}, {"all", "verified"}),
        ({"is_superuser": True, "is_verified": 1}, {"all", "admin", "ops", "verified"}),
        ({"is_superuser": "false", "is_verified": False}, {"all"}),
    ],
)
async def test_the_marks_of_fastapi_users_give_scopes(
    auth: Auth, marks: dict[str, Any], scopes: set[str]
) -> None:
    table = fastapi_users(superuser_scopes=["admin", "ops"], verified_scopes=["verified"])
    user = await take_one(auth, theirs(**marks, name="of the app's own"), table=table, scopes=["all"])
    assert user.scopes == scopes


async def test_who_is_not_active_is_disabled(auth: Auth, clock: Clock) -> None:
    for number, mark in enumerate(("0", "f", "False", False, 0)):
        fields = theirs(id=number, email=f"{number}@example.com", is_active=mark)
        user = await take_one(auth, fields, table=fastapi_users())
        assert user.disabled_at == clock()
        assert not await login(auth, email=user.email)
        clock.advance(1)


async def test_an_id_may_be_a_number(auth: Auth) -> None:
    assert (await take_one(auth, theirs(id=7), table=fastapi_users())).id == "7"


@pytest.mark.parametrize(
    ("changes", "field", "reason"),
    [
        ({"email": "nobody"}, "email", ""),
        ({"email": "a" * 250 + "@example.com"}, "email", ""),
        ({"email": "a\u202e@example.com"}, "email", "control characters"),
        (
            {"password_hash": "pbkdf2_sha256$1000$salt$hash"},
            "password_hash",
            "neither an Argon2 nor a bcrypt",
        ),
        ({"password_hash": "$argon2id$nonsense"}, "password_hash", "is not an Argon2 hash in PHC form"),
        ({"password_hash": "$2b$12$short"}, "password_hash", "is not a bcrypt hash"),
        (
            {"password_hash": bcrypted().replace("$04$", "$15$")},
            "password_hash",
            "has a cost that is not 4 to 14",
        ),
        (
            {"password_hash": argon2().replace("m=16", "m=999999")},
            "password_hash",
            "would cost too much to check",
        ),
        ({"id": "a b"}, "id", "letters, digits"),
        ({"id": "a@b"}, "id", "letters, digits"),
        ({"id": "cli"}, "id", "letters, digits"),
        ({"id": "x" * 65}, "id", "letters, digits"),
        ({"id": True}, "id", ""),
        ({"scopes": 'a"b'}, "scopes", ""),
        ({"created_at": "2999-01-01T00:00:00Z"}, "created_at", "is in the future"),
        ({"disabled_at": "2999-01-01T00:00:00Z"}, "disabled_at", "is in the future"),
        ({"created_at": "yesterday"}, "created_at", "is a time such as"),
        ({"password": "hunter2"}, "a field", "has a name that is not known"),
    ],
)
async def test_what_is_refused(auth: Auth, changes: dict[str, Any], field: str, reason: str) -> None:
    found = await refused(auth, row(**changes))
    assert found[0] == field
    assert reason in found[1]
    assert not any(
        isinstance(value, str) and len(value) > 8 and value in found[1] for value in changes.values()
    )


@pytest.mark.parametrize(
    ("changes", "column"),
    [
        ({"hashed_password": "x" * 30}, "hashed_password"),
        ({"is_active": "perhaps"}, "is_active"),
        ({"is_active": None}, "is_active"),
        ({"is_superuser": "2"}, "is_superuser"),
        ({"is_verified": ""}, "is_verified"),
        ({"id": "a b"}, "id"),
    ],
)
async def test_a_refusal_names_their_column(auth: Auth, changes: dict[str, Any], column: str) -> None:
    assert (await refused(auth, theirs(**changes), table=fastapi_users()))[0] == column


# Running it again


async def test_who_is_there_is_left_as_they_are(auth: Auth) -> None:
    await take(auth, theirs(), table=fastapi_users(), scopes=["calls:read"])
    await login(auth)
    await auth.users.set_scopes(UUID, ["changed"])
    before = await auth.users.get(UUID)

    tally = await take(
        auth, theirs(), theirs(email="ada.l@example.com"), theirs(is_active="0"), table=fastapi_users()
    )
    assert (tally.imported, tally.present, tally.refusals) == (0, 3, [])
    assert await auth.users.list() == [before]


async def test_within_one_file_a_user_is_added_once(auth: Auth) -> None:
    tally = await take(auth, row(), row(email="ADA@example.com"), row(email="bob@example.com"))
    assert (tally.imported, tally.present, tally.refusals) == (2, 1, [])


async def test_an_email_of_two_ids_is_told(auth: Auth) -> None:
    await auth.users.create(EMAIL, PASSWORD)
    tally = await take(
        auth, row(id="a"), row(id="b", email="b@example.com"), row(id="c", email="B@example.com")
    )
    assert (tally.imported, tally.present) == (1, 0)
    assert [(refusal.line, refusal.field) for refusal in tally.refusals] == [(1, "email"), (3, "email")]
    assert {refusal.reason for refusal in tally.refusals} == {"is that of a user with another id"}


async def test_a_user_who_was_added_by_hand_is_there_already(auth: Auth) -> None:
    user = await auth.users.create(EMAIL, "another password")
    assert (await take(auth, row())).present == 1
    assert await auth.users.list() == [user]


async def test_of_two_imports_at_the_same_time_one_fails_whole(auth: Auth, tmp_path: Path) -> None:
    class Late(SqlStore):
        async def users_named(self, names: Any) -> list[User]:
            return []

    url = f"sqlite:///{tmp_path}/users.db"
    async with Auth(make_settings(database_url=url)) as first:
        await take(first, row(email="bob@example.com"))
        async with Auth(first.settings, store=Late(url)) as second:
            with pytest.raises(Conflict):
                await take(second, row(), row(email="bob@example.com"))
        assert [user.email for user in await first.users.list()] == ["bob@example.com"]


async def test_each_user_is_an_event(clock: Clock) -> None:
    told: list[Event] = []
    async with Auth(make_settings(on_event=told.append), clock=clock) as auth:
        await take(auth, theirs(), theirs(), theirs(id="", email="x"), table=fastapi_users())
    assert [event for event in told if isinstance(event, UserChanged)] == [UserChanged(UUID, "created")]


async def test_no_hash_and_no_row_is_in_a_repr(auth: Auth) -> None:
    line = ImportLine(1, row())
    assert EMAIL not in repr(line)
    assert row()["password_hash"] not in repr(line)
