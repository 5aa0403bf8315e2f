"""When a key was last used: in batches, beside the answers."""

import pytest

from callcov_auth import Auth
from callcov_auth.errors import AuthUnavailable
from callcov_auth.keys import last_use
from callcov_auth.keys.last_use import LastUse
from tests.keys.test_validator import bearer
from tests.support.clock import Clock
from tests.support.settings import make_settings

pytestmark = pytest.mark.anyio


class WriteFails:
    """A store whose last-use writes fail until ``works``."""

    def __init__(self) -> None:
        self.works = False
        self.written: list[dict[str, float]] = []

    async def touch_keys(self, last_used: dict[str, float]) -> None:
        if not self.works:
            raise AuthUnavailable()
        self.written.append(dict(last_used))


@pytest.fixture
def store() -> WriteFails:
    return WriteFails()


@pytest.fixture
def uses(store: WriteFails, clock: Clock) -> LastUse:
    return LastUse(store, timer=clock)  # type: ignore[arg-type]


async def test_use_is_written_by_closing(tmp_path, clock: Clock) -> None:  # type: ignore[no-untyped-def]
    settings = make_settings(database_url=f"sqlite:///{tmp_path}/keys.db")
    async with Auth(settings, clock=clock) as auth:
        owner = await auth.users.create("o@example.com", "SecurePassword123!")
        key = await auth.keys.create(owner.id, name="k")
        clock.advance(5)
        await auth.authenticate(bearer(key))
        used_at = clock()
    async with Auth(settings, clock=clock) as auth:
        assert (await auth.keys.get(key.id)).last_used_at == used_at


async def test_one_write_a_minute_for_a_key(uses: LastUse, store: WriteFails, clock: Clock) -> None:
    store.works = True
    for _ in range(3):
        uses.note("key_1", clock())
        clock.advance(20)
        await uses.flush()
    uses.note("key_1", clock())
    await uses.flush()
    assert len(store.written) == 2


async def test_a_failed_write_is_tried_again_and_newer_uses_win(
    uses: LastUse, store: WriteFails, clock: Clock
) -> None:
    uses.note("key_1", 1.0)
    await uses.flush()
    clock.advance(61)
    uses.note("key_1", 2.0)
    uses.note("key_2", 2.0)
    store.works = True
    await uses.flush()
    assert store.written == [{"key_1": 2.0, "key_2": 2.0}]
    uses.give_up()
    assert uses.lost == 0


async def test_what_is_kept_has_a_bound_and_its_loss_is_counted(
    store: WriteFails, clock: Clock, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(last_use, "MAX_PENDING", 2)
    uses = LastUse(store, timer=clock)  # type: ignore[arg-type]
    for number in range(3):
        uses.note(f"key_{number}", clock())
    await uses.flush()
    uses.give_up()
    assert uses.lost == 3
    assert "last_use_lost keys=3" in caplog.text


async def test_of_whom_it_is_known_that_they_were_written_has_a_bound_too(
    uses: LastUse, store: WriteFails, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(last_use, "MAX_PENDING", 2)
    store.works = True
    for key in ("key_1", "key_2", "key_3", "key_3", "key_2", "key_1"):
        uses.note(key, clock())
        await uses.flush()
    assert [list(batch) for batch in store.written] == [["key_1"], ["key_2"], ["key_3"], ["key_1"]]


async def test_nothing_to_write_is_no_write(uses: LastUse, store: WriteFails) -> None:
    store.works = True
    await uses.flush()
    assert store.written == []
