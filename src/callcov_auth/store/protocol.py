"""What a store must do, and nothing SQL.

Every method is one transaction: it happens whole or not at all, also when its caller is cancelled. A
method that returns has made its write durable. A store that cannot be reached raises AuthUnavailable.
Times are Unix seconds.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Target = Literal["key", "session", "user"]


@dataclass(frozen=True, slots=True)
class User:
    """``password_hash`` is in PHC string format (Argon2id). A disabled user's credentials are refused."""

    id: str
    email: str
    password_hash: str = field(repr=False)
    scopes: frozenset[str]
    created_at: float
    disabled_at: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it is kept: by digest, never as text. ``imported`` ones carry no MAC of ours."""

    id: str
    owner: str
    name: str
    description: str | None
    digest: bytes = field(repr=False)
    key_prefix: str
    environment: Literal["live", "test"]
    segment: str | None
    scopes: frozenset[str]
    created_at: float
    expires_at: float | None = None
    revoked_at: float | None = None
    last_used_at: float | None = None
    imported: bool = False


@dataclass(frozen=True, slots=True)
class OwnedKey:
    """A key, and of its owner what bears on it."""

    key: Key
    owner_scopes: frozenset[str]
    owner_disabled: bool


@dataclass(frozen=True, slots=True)
class KeyPage:
    """A page of keys, newest first. ``cursor`` asks for the next page; None ends the list."""

    keys: Sequence[Key]
    total: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Session:
    """A login, alive until it is revoked or ``expires_at`` passes."""

    id: str
    subject: str
    created_at: float
    expires_at: float
    revoked_at: float | None = None


@dataclass(frozen=True, slots=True)
class Change:
    """Something that cached principals of ``target`` may contradict from now on."""

    target: Target
    id: str


class Store(Protocol):
    """The promises that a store of your own must keep."""

    async def open(self) -> None:
        """Connect, and bring the schema up to date. Raises SchemaError where that cannot be."""
        ...

    async def aclose(self) -> None: ...

    async def add_user(self, user: User) -> None:
        """Raises Conflict if the email or the id is taken."""
        ...

    async def user(self, user_id: str) -> User | None: ...

    async def user_by_email(self, email: str) -> User | None: ...

    async def users(self) -> Sequence[User]:
        """Return every user, the oldest first."""
        ...

    async def renew_password_hash(self, user_id: str, *, old: str, new: str) -> None:
        """Put ``new`` in the place of ``old``, both of one password; nothing where ``old`` is gone."""
        ...

    async def change_password(self, user_id: str, password_hash: str, *, at: float) -> bool:
        """Set a new password and revoke the user's sessions. False if there is no such user."""
        ...

    async def set_user_scopes(self, user_id: str, scopes: frozenset[str], *, at: float) -> bool:
        """Set the scopes, and tell the feed. False if there is no such user."""
        ...

    async def disable_user(self, user_id: str, *, at: float) -> bool:
        """Disable the user and revoke the sessions. False if there is no such user."""
        ...

    async def add_key(self, key: Key, *, max_active: int) -> None:
        """Raises KeyLimitReached when the owner has ``max_active`` working keys at ``key.created_at``.

        Raises Conflict for a digest or an id that is taken, and for an owner who is not there.
        """
        ...

    async def key_by_digest(self, digest: bytes) -> OwnedKey | None: ...

    async def key(self, key_id: str) -> Key | None: ...

    async def keys(
        self, owner: str | None, *, at: float, include_expired: bool, limit: int, cursor: str | None
    ) -> KeyPage:
        """List keys, newest first; without ``include_expired`` only those that work at ``at``.

        Raises ValidationFailed for a cursor that this method did not give.
        """
        ...

    async def revoke_key(self, key_id: str, *, at: float) -> None:
        """Revoke a key and tell the feed. A key that was revoked before keeps its time."""
        ...

    async def replace_key(self, key_id: str, new: Key, *, ends_at: float, max_active: int) -> None:
        """Add ``new`` and let the old key end at ``ends_at`` at the latest, and tell the feed.

        Raises Conflict where the old key works no more at ``new.created_at``, and KeyLimitReached as
        ``add_key`` does.
        """
        ...

    async def touch_keys(self, last_used: Mapping[str, float]) -> None:
        """Note when keys were last used; an earlier time never replaces a later one."""
        ...

    async def has_imported_keys(self) -> bool: ...

    async def add_session(self, session: Session, *, password_hash: str | None = None) -> bool:
        """Add a session, and forget those of the same subject that ended.

        With ``password_hash``, only while that is still the hash of the user who is the subject, and the
        user is not disabled; False otherwise. A password that is changed during a login ends that too.
        """
        ...

    async def session(self, session_id: str) -> Session | None: ...

    async def revoke_session(self, session_id: str, *, at: float) -> None: ...

    async def changes_after(self, cursor: int | None) -> tuple[int, Sequence[Change] | None]:
        """Return the newest cursor and what changed after ``cursor``; None asks for the cursor alone.

        None in the place of the changes says that there are too many: everything may have changed.
        """
        ...


class SchemaError(RuntimeError):
    """The database's schema does not fit this version of the package. The text tells the cure."""
