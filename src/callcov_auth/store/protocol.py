"""What a store must do, and nothing SQL.

Every method is one transaction: it happens whole or not at all, also when its caller is cancelled. A
method that returns has made its write durable. A store that cannot be reached raises AuthUnavailable.
Times are Unix seconds.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, Protocol

Target = Literal["key", "session", "user"]
"""What a change is about."""


@dataclass(frozen=True, slots=True)
class User:
    """``password_hash`` is in PHC string format (Argon2id), or what another program made of the password;
    empty for one who has none. A disabled user's credentials are refused."""

    id: str
    email: str
    password_hash: str = field(repr=False)
    scopes: frozenset[str]
    created_at: float
    disabled_at: float | None = None


@dataclass(frozen=True, slots=True)
class Key:
    """An API key as it is kept: by digest, never as text. ``imported`` ones carry no MAC of ours.

    ``pepper_id`` and ``mac_id`` name the peppers under which its digest and its MAC were made; None where
    none was. ``origin`` tells an imported key again, whatever its digest has become. While ``salted_hash``
    (Argon2 or bcrypt) is there, ``digest`` stands for nothing, and the key is found by ``key_prefix``.
    ``rate``, such as ``100/minute``, is how often it may be used; None for as often as its bearer likes.
    ``rotated_lifetime`` is how long a key that was rotated, and so ends sooner, was to last, in seconds; 0
    where it was to have no end, and None where it was not rotated.
    """

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
    pepper_id: str | None = None
    mac_id: str | None = None
    origin: bytes | None = field(default=None, repr=False)
    salted_hash: str | None = field(default=None, repr=False)
    rate: str | None = None
    rotated_lifetime: float | None = None


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
    """A login, alive until it is revoked or ``expires_at`` passes.

    ``generation`` is that of its newest refresh token, from 0 on. ``superseded`` says when those before it
    were superseded, the last one first, as far back as it matters.
    """

    id: str
    subject: str
    created_at: float
    expires_at: float
    revoked_at: float | None = None
    generation: int = 0
    superseded: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SessionPage:
    """A page of sessions, newest first. ``cursor`` asks for the next page; None ends the list."""

    sessions: Sequence[Session]
    total: int
    cursor: str | None


@dataclass(frozen=True, slots=True)
class SealedKey:
    """A signing key as it is kept: its private JWK sealed. ``retires_at`` is None until that is settled."""

    kid: str
    alg: str
    sealed: bytes = field(repr=False)
    created_at: float
    signs_from: float
    retires_at: float | None = None


MAX_AUDITED_NAME = 512
"""How long the names in an audit entry may be. Another issuer's users are named with the issuer."""


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """Who did what, when, and from where.

    ``actor`` is a user's id, ``key:`` and a key's id, or ``cli``; None where nobody is known. ``subject`` is
    whose account it was done to. ``detail`` is a JSON object: what else the event says. ``id`` is the
    store's, in the order of writing.
    """

    at: float
    event: str
    actor: str | None
    subject: str | None
    key_id: str | None
    session_id: str | None
    client: str | None
    request_id: str | None
    detail: str
    id: int | None = None


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

    async def aclose(self) -> None:
        """Disconnect."""
        ...

    async def add_user(self, user: User) -> None:
        """Raises Conflict if the email or the id is taken."""
        ...

    async def add_users(self, users: Sequence[User]) -> None:
        """Add many. Raises Conflict if an email or an id is taken."""
        ...

    async def user(self, user_id: str) -> User | None:
        """Return the user with this id."""
        ...

    async def user_by_email(self, email: str) -> User | None:
        """Return the user with this email, which is in lower case."""
        ...

    async def users(self) -> Sequence[User]:
        """Return every user, the oldest first."""
        ...

    async def users_named(self, names: Collection[str]) -> Sequence[User]:
        """Return the users whose id or email is one of ``names``."""
        ...

    async def password_hash_near(self, place: str) -> str | None:
        """Return the hash of the first user by email, at ``place`` or after; after the last, of the first.

        None where there are no users. It must cost little, and the same wherever that is.
        """
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

    async def enable_user(self, user_id: str, *, at: float) -> bool:
        """Disable the user no longer, and tell the feed. False if there is no such user."""
        ...

    async def add_key(self, key: Key, *, max_active: int) -> None:
        """Raises KeyLimitReached when the owner has ``max_active`` working keys at ``key.created_at``.

        Raises Conflict for a digest or an id that is taken, and for an owner who is not there.
        """
        ...

    async def add_keys(self, keys: Sequence[Key]) -> None:
        """Add many, without a limit. Raises Conflict where a digest or an origin is stored already."""
        ...

    async def working_keys(self, owners: Collection[str], *, at: float) -> Mapping[str, int]:
        """Return how many keys that work at ``at`` each owner has; nothing for one who has none."""
        ...

    async def keys_by_digest(
        self, digests: Collection[bytes], salted_prefixes: Collection[str] = ()
    ) -> Sequence[OwnedKey]:
        """Return the keys with one of the digests, and those with a salted hash and one of the prefixes."""
        ...

    async def key(self, key_id: str) -> Key | None:
        """Return the key with this id, also one that ended."""
        ...

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

        The first time, the old key's ``rotated_lifetime`` is noted before its end is changed.
        Raises Conflict where the old key works no more at ``new.created_at``, and KeyLimitReached as
        ``add_key`` does.
        """
        ...

    async def touch_keys(self, last_used: Mapping[str, float]) -> None:
        """Note when keys were last used; an earlier time never replaces a later one."""
        ...

    async def move_key(self, key: Key, *, old: bytes) -> None:
        """Keep the digest, the pepper's and the MAC's name of ``key``, and its salted hash no more.

        Nothing where its digest is not ``old``.
        """
        ...

    async def has_foreign_keys(self, mac_ids: Collection[str]) -> bool:
        """Whether there are keys without a MAC, or with one of a pepper that is none of ``mac_ids``."""
        ...

    async def has_imported_keys(self) -> bool:
        """Whether there are keys with an ``origin``. It must cost little, however many keys there are."""
        ...

    async def stored_digests(self, digests: Collection[bytes]) -> Collection[bytes]:
        """Return which of ``digests`` are a key's digest or origin."""
        ...

    async def salted_prefixes(self) -> Mapping[str, int]:
        """Return the prefixes of the keys with a salted hash, and how many have each."""
        ...

    async def add_session(self, session: Session, *, password_hash: str | None = None) -> bool:
        """Add a session, and forget those of the same subject that ended.

        With ``password_hash``, only while that is still the hash of the user who is the subject, and the
        user is not disabled; False otherwise. A password that is changed during a login ends that too.
        """
        ...

    async def session(self, session_id: str) -> Session | None:
        """Return the session with this id, also one that ended."""
        ...

    async def sessions(self, subject: str, *, at: float, limit: int, cursor: str | None) -> SessionPage:
        """List the sessions of ``subject`` that are alive at ``at``, newest first.

        Raises ValidationFailed for a cursor that this method did not give.
        """
        ...

    async def advance_session(self, session_id: str, *, generation: int, superseded: Sequence[float]) -> bool:
        """Make the generation after ``generation`` the newest, and keep ``superseded`` beside it.

        False, and nothing is changed, where ``generation`` is not the newest, or the session is revoked or
        not there. Of many who ask at once for one generation, one thus makes the next.
        """
        ...

    async def revoke_session(self, session_id: str, *, at: float) -> None:
        """Revoke a session, and tell the feed. One that was revoked keeps its time."""
        ...

    async def revoke_sessions(self, subject: str, *, at: float) -> None:
        """Revoke every session of ``subject``, and tell the feed. One that was revoked keeps its time."""
        ...

    async def signing_keys(self) -> Sequence[SealedKey]:
        """Return all signing keys, by ``created_at``, the newest last."""
        ...

    async def add_signing_key(self, key: SealedKey, *, retiring: float, only_if_newest: str | None) -> bool:
        """Add ``key``, let all others retire at ``retiring`` at the latest, and forget those that retired.

        False, and nothing is changed, where the newest key is not ``only_if_newest``; None says that there
        is none. Of many processes that know the same newest key, one thus adds the next.
        """
        ...

    async def retire_signing_key(self, kid: str, *, at: float) -> None:
        """Let a key retire at ``at``; one that retires earlier is left alone."""
        ...

    async def changes_after(self, cursor: int | None) -> tuple[int, Sequence[Change] | None]:
        """Return the newest cursor and what changed after ``cursor``; None asks for the cursor alone.

        None in the place of the changes says that there are too many: everything may have changed.
        """
        ...


class AuditStore(Protocol):
    """What a store promises beside, for an audit log; over one without these methods none is kept."""

    async def add_audit_entries(self, entries: Sequence[AuditEntry]) -> None:
        """Add entries in their order; ids only grow, so a reader's cursor passes over none."""
        ...

    async def audit_entries(
        self,
        *,
        after: int | None = None,
        key_id: str | None = None,
        subject: str | None = None,
        since: float | None = None,
        limit: int,
    ) -> Sequence[AuditEntry]:
        """Return at most ``limit`` entries by their ids: the first ones after ``after``, or else the newest.

        Of one key, of one account, or at ``since`` and later, where these are given.
        """
        ...

    async def delete_audit_entries(self, before: float, *, limit: int) -> int:
        """Delete at most ``limit`` entries that are older than ``before``; return how many they were."""
        ...


class SchemaError(RuntimeError):
    """The database's schema does not fit this version of the package. The text tells the cure."""
