"""The audit log: every entry once, in order, whole; and gone when its time is over."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import anyio

from callcov_auth.store.protocol import MAX_AUDITED_NAME, AuditEntry, AuditStore
from callcov_auth.testing.store_contract.samples import NO_LIMIT, NOW


async def entries_come_back_as_they_were_added(store: AuditStore) -> None:
    entries = [
        _entry("key_created", actor="usr_1", subject="usr_1", key_id="key_1", detail='{"kind": "api_key"}'),
        _entry("login_failed", client="2001:db8::7", request_id="r-1"),
        _entry("authenticated", actor="Ω" * MAX_AUDITED_NAME, subject="Ω" * MAX_AUDITED_NAME),
        _entry("signing_key_added", at=NOW + 1 / 3, session_id="ses_1"),
    ]
    await store.add_audit_entries(entries)
    assert [replace(entry, id=None) for entry in await _all(store)] == entries


async def ids_only_grow(store: AuditStore) -> None:
    await store.add_audit_entries([_entry("key_created"), _entry("key_rotated")])
    first = await _all(store)
    assert await store.delete_audit_entries(NOW + 1, limit=NO_LIMIT) == 2
    await store.add_audit_entries([_entry("key_revoked")])
    (last,) = await _all(store)
    one, two, three = (entry.id or 0 for entry in (*first, last))
    assert 0 < one < two < three


async def to_add_nothing_adds_nothing(store: AuditStore) -> None:
    await store.add_audit_entries([])
    assert await _all(store) == []


async def pages_after_an_id_hold_each_entry_once(store: AuditStore) -> None:
    await store.add_audit_entries([_entry(f"event_{number}") for number in range(7)])
    read: list[AuditEntry] = []
    while page := await store.audit_entries(after=read[-1].id if read else 0, limit=3):
        assert len(page) <= 3
        read += page
    assert _events(read) == [f"event_{number}" for number in range(7)]


async def without_an_id_the_newest_come_in_their_order(store: AuditStore) -> None:
    await store.add_audit_entries([_entry(f"event_{number}") for number in range(7)])
    assert _events(await store.audit_entries(limit=3)) == ["event_4", "event_5", "event_6"]


async def one_key_and_one_account_can_be_asked_for(store: AuditStore) -> None:
    await store.add_audit_entries(
        [
            _entry("event_0", key_id="key_1", subject="usr_1"),
            _entry("event_1", key_id="key_2", subject="usr_1"),
            _entry("event_2", key_id="key_2", subject="usr_2"),
            _entry("event_3"),
        ]
    )
    assert _events(await store.audit_entries(key_id="key_2", limit=NO_LIMIT)) == ["event_1", "event_2"]
    assert _events(await store.audit_entries(subject="usr_1", limit=NO_LIMIT)) == ["event_0", "event_1"]
    both = await store.audit_entries(key_id="key_2", subject="usr_2", limit=NO_LIMIT)
    assert _events(both) == ["event_2"]
    assert _events(await store.audit_entries(after=0, key_id="key_2", limit=1)) == ["event_1"]
    assert await store.audit_entries(key_id="key_0", limit=NO_LIMIT) == []


async def a_moment_and_later_can_be_asked_for(store: AuditStore) -> None:
    # Not in the order of time: two processes write when each is ready.
    entries = [_entry(f"event_{number}", at=NOW + at) for number, at in enumerate((0, 2, 1, 3))]
    await store.add_audit_entries(entries)
    later = ["event_1", "event_2", "event_3"]
    assert _events(await store.audit_entries(since=NOW + 1, limit=NO_LIMIT)) == later
    assert _events(await store.audit_entries(after=0, since=NOW + 1, limit=2)) == later[:2]
    ids = [entry.id for entry in await _all(store)]
    pages = [await store.audit_entries(after=id, since=NOW + 2, limit=NO_LIMIT) for id in ids]
    assert [_events(page) for page in pages] == [["event_1", "event_3"], ["event_3"], ["event_3"], []]
    assert await store.audit_entries(after=0, since=NOW + 4, limit=NO_LIMIT) == []


async def the_oldest_are_deleted_so_many_at_a_time(store: AuditStore) -> None:
    await store.add_audit_entries([_entry(f"event_{number}", at=NOW + number) for number in range(5)])
    assert await store.delete_audit_entries(NOW + 3, limit=2) == 2
    assert _events(await _all(store)) == ["event_2", "event_3", "event_4"]
    assert await store.delete_audit_entries(NOW + 3, limit=2) == 1
    assert await store.delete_audit_entries(NOW + 3, limit=2) == 0
    assert _events(await _all(store)) == ["event_3", "event_4"]


async def writers_at_once_lose_nothing(store: AuditStore) -> None:
    async with anyio.create_task_group() as group:
        for number in range(8):
            group.start_soon(store.add_audit_entries, [_entry(f"event_{number}")] * 2)
    assert sorted(_events(await _all(store))) == sorted([f"event_{number}" for number in range(8)] * 2)


def _entry(event: str, **fields: Any) -> AuditEntry:
    nobody = dict.fromkeys(("actor", "subject", "key_id", "session_id", "client", "request_id"))
    return AuditEntry(**{"at": NOW, "event": event, "detail": "{}", **nobody, **fields})


async def _all(store: AuditStore) -> Sequence[AuditEntry]:
    return await store.audit_entries(after=0, limit=NO_LIMIT)


def _events(entries: Sequence[AuditEntry]) -> list[str]:
    return [entry.event for entry in entries]
