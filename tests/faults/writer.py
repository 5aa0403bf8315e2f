"""A process that creates, rotates and revokes keys until it is killed, and tells each that was done.

Everything it sends is sent only after the call that it speaks of has returned.
"""

import random
import secrets
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Literal

import anyio

from callcov_auth import Auth, AuthSettings

Act = Literal["create", "rotate", "revoke"]


@dataclass(frozen=True, slots=True)
class Done:
    """An acknowledged write. ``old_id`` is the key that was rotated or revoked, ``key_id`` the new key."""

    act: Act
    old_id: str = ""
    key_id: str = ""
    text: str = field(default="", repr=False)


@dataclass(frozen=True, slots=True)
class Begun:
    """A write that may or may not be in the file, unless a Done follows."""

    act: Act
    old_id: str = ""


@dataclass(frozen=True, slots=True)
class Orders:
    """What the process is to do, and with which file."""

    settings: dict[str, object] = field(repr=False)
    owner: str
    seed: int
    backend: Literal["asyncio", "trio"]


def write_until_killed(orders: Orders, report: Connection) -> None:
    anyio.run(_write, orders, report, backend=orders.backend)


async def _write(orders: Orders, report: Connection) -> None:
    randomness = random.Random(orders.seed)
    working: list[str] = []
    async with Auth(AuthSettings(_env_file=None, **orders.settings)) as auth:
        while True:
            act: Act = randomness.choice(("create", "rotate", "revoke")) if working else "create"
            old_id = "" if act == "create" else working.pop(randomness.randrange(len(working)))
            report.send(Begun(act, old_id))
            done = await _do(auth, orders.owner, act, old_id)
            report.send(done)
            if done.key_id:
                working.append(done.key_id)


async def _do(auth: Auth, owner: str, act: Act, old_id: str) -> Done:
    if act == "revoke":
        await auth.keys.revoke(old_id)
        return Done(act, old_id)
    if act == "rotate":
        new = await auth.keys.rotate(old_id, grace_seconds=0)
    else:
        new = await auth.keys.create(owner, name=f"line {secrets.token_hex(8)}")
    return Done(act, old_id, new.id, new.api_key.get_secret_value())
