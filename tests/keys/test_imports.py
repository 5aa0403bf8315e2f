"""Keys from elsewhere: rows as other programs' libraries make them, and what becomes of each at its use."""

import hashlib
import hmac
import secrets
import sys
import threading
from base64 import urlsafe_b64encode
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import bcrypt
import pytest
from argon2 import PasswordHasher, Type
from sqlalchemy import event

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable, Conflict, InvalidToken, TokenExpired, TokenRevoked
from callcov_auth.importing import ImportLine, Tally
from callcov_auth.keys.foreign import pepper_id
from callcov_auth.keys.format import digest, mint
from callcov_auth.keys.imports import KeyImport
from callcov_auth.keys.salted import MAX_CANDIDATES, MAX_WAITING
from callcov_auth.keys.validator import RELEARN_PERIOD
from callcov_auth.store.protocol import Key, User
from callcov_auth.store.sql import SqlStore
from tests.keys.test_validator import CountingStore, bearer, refusal_of
from tests.support.clock import Clock
from tests.support.polling import TIMEOUT, eventually
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio

PEPPER = "another program's pepper"
TEXT = "sk_live_Zk3vQ0pT9xLm"
PREFIX = TEXT[:14]


def sha256(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


def base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).decode()


def argon2(text: str, kind: Type = Type.ID) -> str:
    return PasswordHasher(time_cost=1, memory_cost=8, parallelism=1, type=kind).hash(text)


def bcrypted(text: str) -> str:
    return bcrypt.hashpw(text.encode(), bcrypt.gensalt(4)).decode()


def hmac_sha256(text: str, pepper: bytes = PEPPER.encode()) -> str:
    return hmac.new(pepper, text.encode(), "sha256").hexdigest()


Made = Callable[[str], dict[str, Any]]

# Every kind, as a row has it.
KINDS: dict[str, Made] = {
    "sha256": lambda text: {"kind": "sha256", "digest": sha256(text).hex()},
    "sha256-upper": lambda text: {"kind": "sha256", "digest": sha256(text).hex().upper()},
    "sha256-base64url": lambda text: {"kind": "sha256", "digest": base64url(sha256(text)).rstrip("=")},
    "sha256-padded": lambda text: {"kind": "sha256", "digest": base64url(sha256(text))},
    "hmac-sha256": lambda text: {"kind": "hmac-sha256", "digest": hmac_sha256(text)},
    "argon2id": lambda text: {"kind": "argon2", "digest": argon2(text), "prefix": text[:14]},
    "argon2i": lambda text: {"kind": "argon2", "digest": argon2(text, Type.I), "prefix": text[:12]},
    "argon2d": lambda text: {"kind": "argon2", "digest": argon2(text, Type.D), "prefix": text},
    "bcrypt": lambda text: {"kind": "bcrypt", "digest": bcrypted(text), "prefix": text[:13]},
    "bcrypt-2a": lambda text: {
        "kind": "bcrypt",
        "digest": bcrypt.hashpw(text.encode(), bcrypt.gensalt(4, b"2a")).decode(),
        "prefix": text[:12],
    },
    "bcrypt-2y": lambda text: {
        "kind": "bcrypt",
        "digest": bcrypted(text).replace("$2b$", "$2y$"),
        "prefix": text[:12],
    },
}


@pytest.fixture
def database(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path}/keys.db"


@pytest.fixture
async def auth(clock: Clock, request: pytest.FixtureRequest) -> AsyncIterator[Auth]:
    """An open Auth that knows another program's pepper, in memory unless a test asks for ``database``."""
    in_file = "database" in request.fixturenames
    url = request.getfixturevalue("database") if in_file else "sqlite://"
    async with Auth(make_settings(database_url=url, import_peppers=[PEPPER]), clock=clock) as opened:
        yield opened


@pytest.fixture
async def owner(auth: Auth) -> User:
    return await auth.users.create("owner@example.com", "SecurePassword123!", scopes=["calls:*"])


def row(**changes: Any) -> dict[str, Any]:
    right = {"owner": "owner@example.com", "name": "k", **KINDS["sha256"](TEXT), **changes}
    return {name: value for name, value in right.items() if value is not None}


async def take(auth: Auth, *rows: dict[str, Any]) -> Tally:
    """Import rows in one batch; their numbers start at 1."""
    peppers = auth.settings.import_pepper_keys
    importing = KeyImport(auth.keys, pepper=peppers[0] if len(peppers) == 1 else None)
    await importing.take([ImportLine(number, fields) for number, fields in enumerate(rows, 1)])
    return importing.tally


async def take_one(auth: Auth, **changes: Any) -> Key:
    """Import one row, and return the key as it is stored."""
    tally = await take(auth, row(**changes))
    assert (tally.imported, tally.refusals) == (1, [])
    page = await auth.keys.list(limit=1)
    return page.keys[0]


async def refused(auth: Auth, **changes: Any) -> tuple[str, str]:
    """Import one row that is refused; return the field, and why."""
    tally = await take(auth, row(**changes))
    assert (tally.imported, tally.present, tally.refused) == (0, 0, 1)
    (refusal,) = tally.refusals
    assert refusal.line == 1
    return refusal.field, refusal.reason


def queries(store: SqlStore) -> list[str]:
    """Return a list that fills with the statements that ``store`` sends from now on."""
    sent: list[str] = []
    event.listen(
        store._database.reading.engine,
        "before_cursor_execute",
        lambda _c, _u, statement, *_rest: sent.append(statement),
    )
    return sent


# Use


@pytest.mark.parametrize("kind", KINDS)
async def test_a_key_of_each_kind_works_and_is_ours_after_its_first_use(
    auth: Auth, owner: User, database: str, kind: str
) -> None:
    stored = await take_one(auth, **KINDS[kind](TEXT), scopes=["calls:read"])
    async with Auth(auth.settings) as started_later:
        principal = await started_later.authenticate(f"Bearer {TEXT}")
    assert (principal.subject, principal.key_id, principal.scopes) == (owner.id, stored.id, {"calls:read"})

    settled = await auth.keys.get(stored.id)
    assert settled.digest == digest(auth.settings.pepper_key, TEXT) != stored.digest
    assert (settled.imported, settled.salted_hash, settled.origin) == (True, None, stored.origin)
    assert settled.pepper_id == pepper_id(auth.settings.pepper_key)

    async with Auth(auth.settings.replace(import_peppers=[])) as without_the_pepper:
        sent = queries(without_the_pepper.store)
        assert (await without_the_pepper.authenticate(f"Bearer {TEXT}")).key_id == stored.id
        assert len(sent) == 1, "a lookup, and nothing to write"


@pytest.mark.parametrize("kind", ["sha256", "hmac-sha256", "argon2id", "bcrypt"])
async def test_no_other_text_is_the_key(auth: Auth, owner: User, kind: str) -> None:
    await take_one(auth, **KINDS[kind](TEXT))
    stored = KINDS[kind](TEXT)["digest"]
    for other in (TEXT[:-1] + "n", TEXT + "n", TEXT[:-1], TEXT.swapcase(), f"sk_{stored.replace('$', '-')}"):
        refusal = await refusal_of(auth, f"Bearer {other}")
        assert type(refusal) is InvalidToken
    assert (await auth.authenticate(f"Bearer {TEXT}")).subject == owner.id


async def test_our_own_digests_are_taken_over_too(auth: Auth, owner: User) -> None:
    text = mint(auth.settings.key_mac_key, "live")
    stored = await take_one(auth, kind="ours", digest=digest(auth.settings.pepper_key, text).hex())
    assert (await auth.authenticate(f"Bearer {text}")).key_id == stored.id
    assert (await auth.keys.get(stored.id)).digest == stored.digest


@pytest.mark.parametrize("pepper", ["hex:00ff10", "base64:AP8Q"])
async def test_a_pepper_can_be_bytes(owner: User, auth: Auth, database: str, pepper: str) -> None:
    async with Auth(auth.settings.replace(import_peppers=[pepper])) as other:
        stored = hmac_sha256(TEXT, b"\x00\xff\x10")
        await take_one(other, kind="hmac-sha256", digest=stored)
        assert (await other.authenticate(f"Bearer {TEXT}")).subject == owner.id


async def test_each_of_several_peppers_is_tried(owner: User, auth: Auth, database: str) -> None:
    await take_one(auth, **KINDS["hmac-sha256"](TEXT))
    async with Auth(auth.settings.replace(import_peppers=["another", "and another", PEPPER])) as other:
        assert (await other.authenticate(f"Bearer {TEXT}")).subject == owner.id


async def test_without_its_pepper_a_key_is_unknown(owner: User, auth: Auth, database: str) -> None:
    await take_one(auth, **KINDS["hmac-sha256"](TEXT))
    async with Auth(auth.settings.replace(import_peppers=["another"])) as other:
        assert (await refusal_of(other, f"Bearer {TEXT}")).reason == "key_unknown"


async def test_all_digests_of_a_text_are_looked_up_in_one_query(
    auth: Auth, owner: User, database: str
) -> None:
    await take_one(auth)
    older = [secrets.token_urlsafe(48) for _ in range(3)]
    settings = auth.settings.replace(previous_secrets=older, import_peppers=[PEPPER, "another"])
    async with Auth(settings) as opened:
        sent = queries(opened.store)
        assert (await refusal_of(opened, "Bearer sk_live_nobody")).reason == "key_unknown"
        assert len(sent) == 1


async def test_the_lookup_is_by_index(auth: Auth, owner: User) -> None:
    await take_one(auth, **KINDS["argon2id"](TEXT))

    def plan(connection: Any) -> str:
        lookup = (
            "SELECT 1 FROM callcov_api_keys WHERE digest IN (x'00', x'01')"
            " OR (salted_hash IS NOT NULL AND key_prefix IN ('a', 'b'))"
        )
        return " ".join(str(step) for step in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {lookup}"))

    told = await auth.store._read(plan)
    assert "SCAN" not in told
    assert "ix_callcov_api_keys_key_prefix" in told


async def test_several_first_uses_at_the_same_time_are_all_good(auth: Auth, owner: User) -> None:
    await take_one(auth, **KINDS["argon2id"](TEXT))
    subjects = []

    async def use() -> None:
        subjects.append((await auth.authenticate(f"Bearer {TEXT}")).subject)

    async with anyio.create_task_group() as group:
        for _ in range(4):
            group.start_soon(use)
    assert subjects == [owner.id] * 4


@pytest.mark.parametrize("error", [AuthUnavailable(reason="store_OperationalError"), Conflict()])
async def test_a_key_is_good_although_its_digest_cannot_be_moved_now(
    auth: Auth, owner: User, database: str, error: Exception
) -> None:
    class CannotMove(SqlStore):
        async def move_key(self, key: Key, *, old: bytes) -> None:
            raise error

    stored = await take_one(auth)
    async with Auth(auth.settings, store=CannotMove(database)) as opened:
        assert (await opened.authenticate(f"Bearer {TEXT}")).key_id == stored.id
    assert (await auth.keys.get(stored.id)).digest == sha256(TEXT)


async def test_a_move_that_comes_too_late_changes_nothing(auth: Auth, owner: User) -> None:
    """One process moved the key to a newer secret's digest, and another still has what it read before."""
    before = await take_one(auth)
    await auth.authenticate(f"Bearer {TEXT}")
    moved = await auth.keys.get(before.id)
    await auth.store.move_key(replace(before, digest=b"x" * 32), old=before.digest)
    assert await auth.keys.get(before.id) == moved


async def test_what_ends_an_imported_key(auth: Auth, owner: User, clock: Clock) -> None:
    texts = [f"{TEXT}{number}" for number in range(3)]
    kinds = ("sha256", "argon2id", "bcrypt")
    rows = [row(**KINDS[kind](text)) for kind, text in zip(kinds, texts, strict=True)]
    rows[1]["expires_in_days"] = 1
    await take(auth, *rows)
    revoked = (await auth.store.keys_by_digest([sha256(texts[0])]))[0].key
    await auth.keys.revoke(revoked.id)
    clock.advance(86400)
    assert type(await refusal_of(auth, f"Bearer {texts[0]}")) is TokenRevoked
    assert type(await refusal_of(auth, f"Bearer {texts[1]}")) is TokenExpired
    await auth.users.disable(owner.id)
    assert (await refusal_of(auth, f"Bearer {texts[2]}")).reason == "key_owner_disabled"


async def test_a_key_that_is_rotated_is_replaced_by_one_of_ours(auth: Auth, owner: User) -> None:
    stored = await take_one(auth, **KINDS["argon2id"](TEXT), environment="test", segment="dev")
    new = await auth.keys.rotate(stored.id)
    kept = await auth.keys.get(new.id)
    assert (kept.imported, kept.salted_hash, kept.origin) == (False, None, None)
    assert kept.pepper_id is not None
    assert kept.mac_id == kept.pepper_id
    assert (await auth.authenticate(bearer(new))).segment == "dev"
    assert (await auth.authenticate(f"Bearer {TEXT}")).key_id == stored.id


# Bounds of what strangers can ask for


@pytest.fixture
def checks(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Fills with the hashes that are checked."""
    seen: list[str] = []
    verify = PasswordHasher.verify

    def watched(self: PasswordHasher, salted_hash: str, text: str) -> bool:
        seen.append(salted_hash)
        return verify(self, salted_hash, text)

    monkeypatch.setattr(PasswordHasher, "verify", watched)
    return seen


async def test_unknown_keys_reach_no_slow_hash(auth: Auth, owner: User, checks: list[str]) -> None:
    await take_one(auth, **KINDS["argon2id"](TEXT))
    for unknown in (mint(b"another", "live"), "sk_live_Zk3vQ", f"sk_live_Zk3vQ1{TEXT}", f"sk_{TEXT}", "sk_"):
        assert (await refusal_of(auth, f"Bearer {unknown}")).reason == "key_unknown"
    assert checks == []


async def test_a_known_prefix_reaches_a_few_and_a_used_key_none(
    auth: Auth, owner: User, checks: list[str]
) -> None:
    texts = [f"{PREFIX}-{number}" for number in range(MAX_CANDIDATES)]
    assert (await take(auth, *(row(**KINDS["argon2id"](text)) for text in texts))).imported == MAX_CANDIDATES
    await refusal_of(auth, f"Bearer {PREFIX}-unknown")
    assert len(set(checks)) == len(checks) == MAX_CANDIDATES

    for text in texts:
        await auth.authenticate(f"Bearer {text}")
    checks.clear()
    await refusal_of(auth, f"Bearer {PREFIX}-unknown")
    assert checks == []


async def test_more_candidates_than_can_be_are_not_all_checked(
    auth: Auth, owner: User, checks: list[str]
) -> None:
    """Two imports at the same time do not see each other's."""
    first, second = (KeyImport(auth.keys, pepper=None) for _ in range(2))
    await second.take([])
    for importing, name in ((first, "a"), (second, "b")):
        rows = [row(**KINDS["argon2id"](f"{PREFIX}-{name}{number}")) for number in range(MAX_CANDIDATES)]
        await importing.take([ImportLine(1, fields) for fields in rows])
        assert importing.tally.imported == MAX_CANDIDATES
    await refusal_of(auth, f"Bearer {PREFIX}-unknown")
    assert len(checks) == MAX_CANDIDATES


async def test_the_longest_prefix_is_checked_first(auth: Auth, owner: User, checks: list[str]) -> None:
    rows = [row(**KINDS["argon2id"](TEXT) | {"prefix": TEXT[:length]}) for length in (12, 14, 13)]
    await take(auth, *rows)
    await auth.authenticate(f"Bearer {TEXT}")
    assert checks == [rows[1]["digest"]]


async def test_no_more_keys_of_one_prefix_are_taken_than_are_checked(auth: Auth, owner: User) -> None:
    def of(number: int, length: int = 14) -> dict[str, Any]:
        return row(**KINDS["argon2id"](f"{PREFIX}-{number}") | {"prefix": PREFIX[:length]})

    lengths = (14, 13, 14, 12, 14)
    taken = [of(number, length) for number, length in enumerate(lengths)]
    assert (await take(auth, *taken)).imported == MAX_CANDIDATES
    for length in (12, 13, 14):
        tally = await take(auth, *taken, of(9, length))
        assert (tally.imported, tally.present) == (0, MAX_CANDIDATES)
        assert [(refusal.line, refusal.field) for refusal in tally.refusals] == [(6, "prefix")]
    assert (await take(auth, row(**KINDS["argon2id"]("sk_live_Zk3x-1")))).imported == 1, "of another prefix"

    await auth.authenticate(f"Bearer {PREFIX}-0")
    assert (await take(auth, of(9))).imported == 1, "in the place of one that was used"


async def test_the_shortest_prefixes_of_a_salted_hash(auth: Auth, owner: User) -> None:
    for prefix in ("sk_abcd", "sk_live_abcd", "sk_test_abcd", "sk_liveabc", "sk_live-abc"):
        text = f"{prefix}efgh"
        await take_one(auth, kind="argon2", digest=argon2(text), prefix=prefix)
        assert (await auth.authenticate(f"Bearer {text}")).subject == owner.id


async def test_a_full_queue_is_503_and_holds_no_login_up(
    auth: Auth, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_one(auth, **KINDS["bcrypt"](TEXT))
    release, running = threading.Event(), []

    def slow(_text: bytes, _hash: bytes) -> bool:
        running.append(threading.current_thread())
        release.wait(3 * TIMEOUT)
        return False

    monkeypatch.setattr(bcrypt, "checkpw", slow)
    async with anyio.create_task_group() as group:
        for number in range(MAX_WAITING):
            group.start_soon(refusal_of, auth, f"Bearer {PREFIX}-{number}")
        with anyio.fail_after(TIMEOUT):
            while auth._keys.salted._lane._waiting < MAX_WAITING:
                await anyio.sleep(0.001)
        refusal = await refusal_of(auth, f"Bearer {PREFIX}-one-more")
        assert (type(refusal), refusal.reason) == (AuthUnavailable, "key_hash_queue_full")
        await auth.tokens.login("owner@example.com", "SecurePassword123!")
        assert len(running) == 1, "the loop is free, and one check runs at a time"
        release.set()
    assert threading.main_thread() not in running


async def test_bcrypt_reads_72_bytes_so_no_longer_key_is_taken(auth: Auth, owner: User) -> None:
    longest = TEXT.ljust(72, "x")
    await take_one(auth, **KINDS["bcrypt"](longest))
    for longer in (longest + "x", longest + "y"):
        assert (await refusal_of(auth, f"Bearer {longer}")).reason == "key_unknown"
    assert (await auth.authenticate(f"Bearer {longest}")).subject == owner.id


async def test_without_bcrypt_a_key_that_needs_it_is_503_and_the_log_has_the_cure(
    auth: Auth, owner: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    await take_one(auth, **KINDS["bcrypt"](TEXT))
    monkeypatch.setitem(sys.modules, "bcrypt", None)
    refusal = await refusal_of(auth, f"Bearer {TEXT}")
    assert type(refusal) is AuthUnavailable
    assert "pip install 'callcov-auth[import]'" in refusal.reason
    assert "import" not in refusal.message
    field, reason = await refused(auth, **KINDS["bcrypt"](f"{TEXT}2"))
    assert field == "kind"
    assert "pip install 'callcov-auth[import]'" in reason
    assert (await refusal_of(auth, "Bearer sk_live_unknown")).reason == "key_unknown"


async def test_a_hash_that_cannot_be_read_matches_nothing(auth: Auth, owner: User) -> None:
    cut_short = argon2(TEXT).rpartition("$")[0] + "$YQ"
    await take_one(auth, kind="argon2", digest=cut_short, prefix=PREFIX)
    assert (await refusal_of(auth, f"Bearer {TEXT}")).reason == "key_unknown"


# What is seen of an import that another process makes


async def test_another_processs_import_is_seen_without_a_restart(clock: Clock, database: str) -> None:
    settings = make_settings(database_url=database, revocation_interval=0.01)
    store = CountingStore(database)
    async with Auth(settings, store=store, clock=clock) as running, Auth(settings, clock=clock) as importing:
        owner = await importing.users.create("owner@example.com", "SecurePassword123!")
        await take_one(importing)
        assert (await refusal_of(running, f"Bearer {TEXT}")).reason == "key_malformed"
        assert store.lookups == 0
        clock.advance(RELEARN_PERIOD)
        await eventually(lambda: running._keys.foreign_keys)
        assert (await running.authenticate(f"Bearer {TEXT}")).subject == owner.id


async def test_without_a_background_task_the_next_request_asks(clock: Clock, database: str) -> None:
    settings = make_settings(database_url=database)
    running = Auth(settings, clock=clock)
    await running.open()
    async with Auth(settings, clock=clock) as importing:
        owner = await importing.users.create("owner@example.com", "SecurePassword123!")
        await take_one(importing)
    clock.advance(RELEARN_PERIOD)
    assert (await running.authenticate(f"Bearer {TEXT}")).subject == owner.id
    await running.aclose()


async def test_what_was_unknown_a_moment_ago_is_looked_up_once_it_is_imported(
    auth: Auth, owner: User
) -> None:
    assert owner.email == "owner@example.com"
    await take_one(auth, **KINDS["sha256"]("another-key-0001"))
    assert (await refusal_of(auth, f"Bearer {TEXT}")).reason == "key_unknown"
    assert (await refusal_of(auth, f"Bearer {TEXT}")).reason == "key_still_unknown"
    await take_one(auth)
    assert (await auth.authenticate(f"Bearer {TEXT}")).kind == "api_key"


async def test_a_flood_of_forged_keys_asks_for_nothing(clock: Clock) -> None:
    store = CountingStore("sqlite://")
    async with Auth(make_settings(), store=store, clock=clock) as auth:
        sent = queries(store)
        for _ in range(3):
            clock.advance(RELEARN_PERIOD)
            for _ in range(20):
                assert (await refusal_of(auth, "Bearer sk_live_x")).reason == "key_malformed"
        asked = [statement for statement in sent if "callcov_api_keys" in statement]
        assert (asked, store.lookups) == ([], 0)


async def test_whether_keys_were_imported_is_asked_again_where_nobody_answers(clock: Clock) -> None:
    class Down(SqlStore):
        asked = 0

        async def has_imported_keys(self) -> bool:
            self.asked += 1
            raise AuthUnavailable(reason="store_OperationalError")

    store = Down("sqlite://")
    auth = Auth(make_settings(), store=store, clock=clock)
    await auth.open()
    for _ in range(2):
        clock.advance(RELEARN_PERIOD)
        assert (await refusal_of(auth, "Bearer sk_live_x")).reason == "key_malformed"
    assert store.asked == 2
    await auth.aclose()


# Running it again


async def test_what_is_there_is_not_added_again(auth: Auth, owner: User) -> None:
    rows = [
        row(**made(f"{TEXT[:8]}{name[-4:]}{number}-{name}"))
        for number, (name, made) in enumerate([*KINDS.items()][:9])
    ]
    assert (await take(auth, *rows[:4])).imported == 4
    tally = await take(auth, *rows, rows[0], rows[-1])
    assert (tally.imported, tally.present, tally.refusals) == (5, 4 + 2, [])


async def test_a_key_whose_first_line_was_wrong_is_taken_from_its_second(auth: Auth, owner: User) -> None:
    tally = await take(auth, row(owner="nobody@example.com"), row(), row())
    assert (tally.imported, tally.present) == (1, 1)
    assert [refusal.line for refusal in tally.refusals] == [1]


@pytest.mark.parametrize("kind", ["sha256", "hmac-sha256", "argon2id", "bcrypt"])
async def test_what_was_used_meanwhile_is_not_added_again(
    auth: Auth, owner: User, database: str, kind: str
) -> None:
    imported = row(**KINDS[kind](TEXT))
    await take(auth, imported)
    await auth.authenticate(f"Bearer {TEXT}")
    tally = await take(auth, imported)
    assert (tally.imported, tally.present) == (0, 1)

    changed = auth.settings.replace(
        secret=secrets.token_urlsafe(48), previous_secrets=[auth.settings.secret.get_secret_value()]
    )
    async with Auth(changed) as later:
        await later.authenticate(f"Bearer {TEXT}")
        assert (await take(later, imported)).present == 1


async def test_by_what_a_key_is_told_again_nothing_can_be_guessed_without_the_secret(
    auth: Auth, owner: User
) -> None:
    async with Auth(make_settings()) as other:
        await other.users.create(owner.email, "SecurePassword123!")
        assert (await take_one(auth)).origin != (await take_one(other)).origin


async def test_a_revoked_key_stays_revoked_whatever_is_imported(auth: Auth, owner: User) -> None:
    stored = await take_one(auth)
    await auth.authenticate(f"Bearer {TEXT}")
    await auth.keys.revoke(stored.id)
    assert (await take(auth, row())).present == 1
    assert type(await refusal_of(auth, f"Bearer {TEXT}")) is TokenRevoked


async def test_a_digest_imported_one_by_one_is_known_too(auth: Auth, owner: User) -> None:
    stored = digest(auth.settings.pepper_key, TEXT)
    await auth.keys.import_digest(owner.id, stored, name="one")
    assert (await take(auth, row(kind="ours", digest=stored.hex()))).present == 1


async def test_of_two_imports_at_the_same_time_one_fails_whole(
    auth: Auth, owner: User, database: str
) -> None:
    class Late(SqlStore):
        """Sees nothing of what another has added since."""

        async def stored_digests(self, digests: Any) -> set[bytes]:
            return set()

    await take_one(auth)
    async with Auth(auth.settings, store=Late(database)) as other:
        late = KeyImport(other.keys, pepper=None)
        with pytest.raises(Conflict):
            await late.take([ImportLine(1, row(digest=sha256("sk_other").hex())), ImportLine(2, row())])
    assert (late.tally.imported, (await auth.keys.list()).total) == (0, 1)


# What a row says


async def test_a_row_can_say_everything(auth: Auth, owner: User) -> None:
    stored = await take_one(
        auth,
        owner=owner.id,
        name="billing",
        description="of the old system",
        prefix=TEXT,
        environment="test",
        segment="dev",
        scopes="calls:read calls:write",
        expires_at="2030-01-31T12:00:00+01:00",
        created_at="2024-05-01T00:00:00Z",
    )
    assert (stored.owner, stored.name, stored.description) == (owner.id, "billing", "of the old system")
    assert (stored.environment, stored.segment, stored.key_prefix) == ("test", "dev", PREFIX)
    assert stored.scopes == {"calls:read", "calls:write"}
    assert (stored.expires_at, stored.created_at) == (1896087600.0, 1714521600.0)


async def test_and_most_of_it_can_be_left_out(auth: Auth, owner: User, clock: Clock) -> None:
    stored = await take_one(auth)
    assert (stored.environment, stored.segment, stored.key_prefix) == ("live", None, "")
    assert (stored.scopes, stored.expires_at, stored.created_at) == (owner.scopes, None, clock())


@pytest.mark.parametrize(
    "time", [1714521600, 1714521600.0, "1714521600", "1714521600.0", "20240501T000000+0000"]
)
async def test_a_time_can_be_written_in_several_ways(auth: Auth, owner: User, time: Any) -> None:
    assert (await take_one(auth, created_at=time)).created_at == 1714521600.0


@pytest.mark.parametrize("days", [30, "30"])
async def test_days_count_from_the_import_on(auth: Auth, owner: User, days: Any, clock: Clock) -> None:
    stored = await take_one(auth, expires_in_days=days, created_at=0)
    assert stored.expires_at == clock() + 30 * 86400


async def test_no_scopes_can_be_said(auth: Auth, owner: User) -> None:
    assert (await take_one(auth, scopes=[])).scopes == frozenset()


async def test_an_email_is_in_either_case(auth: Auth, owner: User) -> None:
    assert (await take_one(auth, owner="Owner@EXAMPLE.com")).owner == owner.id


COSTLY = "$argon2id$v=19$m={m},t={t},p=1$c29tZXNhbHQ$DTYqCnRbgu5OZBEG3RrEFH7DkUIeaCmMfHpWTEC4I/U"


# What is wrong with a row that is right but for this, and the field that is named.
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"owner": None}, "owner"),
    ({"owner": ""}, "owner"),
    ({"owner": 7}, "owner"),
    ({"owner": "nobody@example.com"}, "owner"),
    ({"owner": "usr_nobody"}, "owner"),
    ({"name": None}, "name"),
    ({"name": "a\nb"}, "name"),
    ({"name": "\udcff"}, "name"),
    ({"digest": None}, "digest"),
    ({"digest": ""}, "digest"),
    ({"digest": "ab" * 31}, "digest"),
    ({"digest": "ab" * 33}, "digest"),
    ({"digest": "zz" * 32}, "digest"),
    ({"digest": "a" * 42}, "digest"),
    ({"digest": "+" * 43}, "digest"),
    ({"digest": "\u0661" * 64}, "digest"),
    ({"digest": "a" * 513}, "digest"),
    ({"kind": None}, "kind"),
    ({"kind": "md5"}, "kind"),
    ({"kind": "SHA256"}, "kind"),
    ({"kind": "argon2", "prefix": PREFIX}, "digest"),
    ({"kind": "argon2", "prefix": PREFIX, "digest": "$argon2id$v=19$m=8,t=x,p=1$YQ$YQ"}, "digest"),
    ({"kind": "argon2", "prefix": PREFIX, "digest": "$argon2id$v=19$m=8$YQ$YQ"}, "digest"),
    ({"kind": "argon2", "prefix": PREFIX, "digest": COSTLY.format(m=524289, t=1)}, "digest"),
    ({"kind": "argon2", "prefix": PREFIX, "digest": COSTLY.format(m=524288, t=5)}, "digest"),
    ({"kind": "argon2", "prefix": PREFIX, "digest": COSTLY.format(m=8, t=262145)}, "digest"),
    ({"kind": "bcrypt", "prefix": PREFIX}, "digest"),
    ({"kind": "bcrypt", "prefix": PREFIX, "digest": "$2b$15$" + "a" * 53}, "digest"),
    ({"kind": "bcrypt", "prefix": PREFIX, "digest": "$2b$03$" + "a" * 53}, "digest"),
    ({"kind": "bcrypt", "prefix": PREFIX, "digest": "$2x$10$" + "a" * 53}, "digest"),
    ({"kind": "bcrypt", "prefix": PREFIX, "digest": "$2b$10$" + "a" * 52}, "digest"),
    ({"prefix": "live_abcd"}, "prefix"),
    *(
        ({"kind": "argon2", "digest": argon2(TEXT), "prefix": prefix}, "prefix")
        for prefix in (None, "", "sk_", "sk_abc", "sk_live", "sk_live_", "sk_live_abc", "sk_test_abc")
    ),
    ({"prefix": "sk_\u00e9"}, "prefix"),
    ({"environment": "staging"}, "environment"),
    ({"segment": "Dev"}, "segment"),
    ({"scopes": "users:read"}, "scopes"),
    ({"scopes": "calls:read *"}, "scopes"),
    ({"scopes": ["a b"]}, "scopes"),
    ({"scopes": [7]}, "scopes"),
    ({"expires_in_days": 0}, "expires_in_days"),
    ({"expires_in_days": "3.5"}, "expires_in_days"),
    ({"expires_in_days": "-1"}, "expires_in_days"),
    ({"expires_in_days": True}, "expires_in_days"),
    ({"expires_in_days": 1, "expires_at": 1}, "expires_at"),
    ({"expires_at": "tomorrow"}, "expires_at"),
    ({"expires_at": "2030-01-31T12:00:00"}, "expires_at"),
    ({"expires_at": -1}, "expires_at"),
    ({"expires_at": 253402300800}, "expires_at"),
    ({"expires_at": float("inf")}, "expires_at"),
    ({"expires_at": float("nan")}, "expires_at"),
    ({"expires_at": True}, "expires_at"),
    ({"created_at": 1_800_000_001}, "created_at"),
    ({"key": TEXT}, "a field"),
]


async def test_a_row_that_is_wrong_is_refused_with_its_field_and_why(auth: Auth, owner: User) -> None:
    tally = await take(auth, *(row(**changes) for changes, _ in WRONG))
    refusals = sorted(tally.refusals, key=lambda refusal: refusal.line)
    named = [(WRONG[refusal.line - 1][0], refusal.field) for refusal in refusals]
    assert named == WRONG
    assert all(refusal.reason for refusal in tally.refusals)
    assert (tally.imported, tally.refused) == (0, len(WRONG))
    assert (await auth.keys.list(include_expired=True)).total == 0


async def test_no_reason_shows_a_value(auth: Auth, owner: User) -> None:
    tally = await take(auth, *(row(**changes) for changes, _ in WRONG))
    for refusal in tally.refusals:
        values = [str(value) for value in WRONG[refusal.line - 1][0].values()]
        assert not any(value in refusal.reason for value in values if len(value) > 20)


async def test_the_edges_of_what_is_taken(auth: Auth, owner: User) -> None:
    rows = [
        row(kind="argon2", prefix=PREFIX, digest=COSTLY.format(m=524288, t=4)),
        row(kind="bcrypt", prefix=PREFIX, digest="$2b$14$" + "a" * 53),
        row(expires_at=253402300799, created_at=0),
        row(digest=sha256("sk_2").hex(), created_at=1_800_000_000),
    ]
    assert (await take(auth, *rows)).imported == 4


async def test_every_wrong_field_is_named_and_a_line_counts_once(auth: Auth, owner: User) -> None:
    tally = await take(auth, row(name="", segment="Dev"), row(), row(name=""))
    assert [(refusal.line, refusal.field) for refusal in tally.refusals] == [
        (1, "name"),
        (1, "segment"),
        (3, "name"),
    ]
    assert (tally.imported, tally.refused) == (1, 2)


async def test_a_digest_in_the_place_of_a_name_is_not_shown(auth: Auth, owner: User) -> None:
    misplaced = sha256("sk_misplaced").hex()
    assert await refused(auth, **{misplaced: "x"}) == ("a field", "has a name that is not known")
    for changes in ({"scopes": misplaced}, {"owner": misplaced}, {"kind": misplaced}, {"prefix": misplaced}):
        assert misplaced not in str(await refused(auth, **changes))


async def test_a_disabled_owner_gets_no_keys(auth: Auth, owner: User) -> None:
    await auth.users.disable(owner.id)
    assert (await refused(auth))[0] == "owner"


@pytest.mark.parametrize("peppers", [[], [PEPPER, "another"]])
async def test_an_hmac_needs_its_pepper_known(
    auth: Auth, owner: User, database: str, peppers: list[str]
) -> None:
    async with Auth(auth.settings.replace(import_peppers=peppers)) as other:
        field, reason = await refused(other, **KINDS["hmac-sha256"](TEXT))
    assert field == "kind"
    assert "import_peppers" in reason


async def test_an_owner_has_no_more_working_keys_than_settings_allow(
    auth: Auth, owner: User, clock: Clock
) -> None:
    def of(number: int, **changes: Any) -> dict[str, Any]:
        return row(digest=sha256(f"sk_{number}").hex(), **changes)

    for _ in range(2):
        await auth.keys.create(owner.id, name="ours")
    ended = of(100, expires_at=clock())
    tally = await take(auth, *(of(number) for number in range(7)), ended, of(7), of(8), of(9))
    assert tally.imported == 9
    assert [(refusal.line, refusal.field) for refusal in tally.refusals] == [(10, "owner"), (11, "owner")]

    importing = KeyImport(auth.keys, pepper=None)
    for number in (8, 200):
        await importing.take([ImportLine(number, of(number))])
    await importing.take([ImportLine(201, of(201, expires_at=1))])
    assert (importing.tally.imported, importing.tally.refused) == (1, 2)


async def test_nothing_of_a_row_is_in_a_repr(auth: Auth, owner: User) -> None:
    made = row(**KINDS["argon2id"](TEXT))
    stored = await take_one(auth, **KINDS["argon2id"](TEXT))
    assert made["digest"] not in repr(ImportLine(1, made))
    assert stored.salted_hash not in repr(stored)
