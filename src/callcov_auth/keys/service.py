"""The life of API keys: create, list, revoke, rotate, import."""

import secrets
from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr

from callcov_auth.age import DAY
from callcov_auth.cache.feed import Feed
from callcov_auth.errors import InsufficientPermissions, NotFound
from callcov_auth.events import KeyCreated, KeyRevoked, KeyRotated, OnEvent, emit
from callcov_auth.keys import foreign
from callcov_auth.keys import format as key_format
from callcov_auth.keys.validator import KeyValidator
from callcov_auth.principal import cut, grants
from callcov_auth.rates import Rate
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import Change, Key, KeyPage, OwnedKey, Store, User
from callcov_auth.validation import WHOLE, Input, Line, PageRequest, Scopes, StoredText, validated

# The longest that a key which was rotated goes on working.
MAX_GRACE = 30 * DAY


def _rate(text: str) -> str:
    Rate.parse(text)
    return text


class KeyRequest(Input):
    """What a new key shall be."""

    name: Annotated[Line, Field(min_length=1, max_length=100)]
    description: Annotated[StoredText, Field(max_length=500)] | None = None
    environment: Literal["live", "test"] = "live"
    segment: Annotated[str, Field(pattern=r"^[a-z][a-z0-9]{0,15}$")] | None = None
    scopes: Scopes | None = None
    expires_in_days: Annotated[int, Field(ge=1, le=3650), WHOLE] | None = None


class RatedKeyRequest(KeyRequest):
    """What a new key shall be, where its maker is not its owner: ``rate`` bounds how often it is used."""

    rate: Annotated[str, Field(max_length=32), AfterValidator(_rate)] | None = None


class RotateRequest(Input):
    """How long the old key goes on working, in seconds."""

    grace_seconds: Annotated[int, Field(ge=0, le=MAX_GRACE), WHOLE] = DAY


class ListRequest(PageRequest):
    """Which page of the keys."""

    include_expired: bool = False


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key as it is made: the one moment at which ``api_key`` can be read."""

    id: str
    name: str
    description: str | None
    api_key: SecretStr
    key_prefix: str
    environment: str
    segment: str | None
    scopes: frozenset[str]
    created_at: float
    expires_at: float | None


@dataclass(slots=True)
class KeyService:
    """API keys: ``auth.keys``."""

    settings: AuthSettings
    store: Store
    feed: Feed
    validator: KeyValidator
    clock: Callable[[], float]
    on_event: OnEvent | None = None

    async def create(
        self, owner: str, *, name: str, limit: Collection[str] | None = None, **fields: Any
    ) -> NewKey:
        """Make a key for the user with the id ``owner``; ``fields`` are RatedKeyRequest's.

        Without ``scopes`` it gets all of the owner's. ``limit`` bounds them further, as the scopes of the
        token that asks do. Raises NotFound, InsufficientPermissions, KeyLimitReached, ValidationFailed.
        """
        request = _request(name=name, **fields)
        scopes = granted(request.scopes, await self._owner(owner), limit)
        text, key = self._minted(owner, request, scopes)
        await self.store.add_key(key, max_active=self.settings.max_active_keys)
        emit(KeyCreated(key.id, owner), self.on_event)
        return _new_key(text, key)

    async def list(self, owner: str | None = None, **fields: Any) -> KeyPage:
        """List an owner's keys, or everybody's, newest first; ``fields`` are ListRequest's."""
        request = validated(ListRequest, fields)
        return await self.store.keys(
            owner,
            at=self.clock(),
            include_expired=request.include_expired,
            limit=request.limit,
            cursor=request.cursor,
        )

    async def get(self, key_id: str, *, owner: str | None = None) -> Key:
        """Raises NotFound for no such key, and for one of another owner where ``owner`` is given."""
        key = await self.store.key(key_id)
        if key is None or (owner is not None and key.owner != owner):
            raise NotFound("There is no such API key", reason="key_not_found")
        return key

    async def find(self, text: str) -> OwnedKey | None:
        """Return the key with this text, whether or not it works; this is no use of it."""
        return await self.validator.find(text)

    async def revoke(self, key_id: str, *, owner: str | None = None) -> None:
        """End a key at once. A second time changes nothing. Raises NotFound as ``get`` does."""
        key = await self.get(key_id, owner=owner)
        if key.revoked_at is not None:
            return
        await self.store.revoke_key(key_id, at=self.clock())
        await self.feed.publish(Change("key", key_id))
        emit(KeyRevoked(key_id, key.owner), self.on_event)

    async def rotate(self, key_id: str, *, owner: str | None = None, grace_seconds: int = DAY) -> NewKey:
        """Make a key like this one, which goes on working for ``grace_seconds``.

        The new one lasts as long from now as the old one was made to; also when the old one is rotated anew
        in its grace, as by a client that lost the answer. Keys in their grace count, so an owner may have up
        to twice ``max_active_keys`` while rotating. Raises NotFound, KeyLimitReached, and Conflict for a key
        that works no more.
        """
        grace = validated(RotateRequest, {"grace_seconds": grace_seconds}).grace_seconds
        old = await self.get(key_id, owner=owner)
        now = self.clock()
        text, new = self._successor(old, now)
        await self.store.replace_key(
            key_id, new, ends_at=now + grace, max_active=2 * self.settings.max_active_keys
        )
        await self.feed.publish(Change("key", key_id))
        emit(KeyRotated(key_id, new.id, old.owner), self.on_event)
        return _new_key(text, new)

    async def import_digest(self, owner: str, digest: bytes, *, name: str, **fields: Any) -> Key:
        """Take over a key whose text is not known: ``digest`` is ``keys.format.digest`` of it.

        From then on keys without our MAC are looked up too. Raises as ``create`` does, and Conflict where
        the digest is stored already.
        """
        if len(digest) != 32:
            raise ValueError("the digest is HMAC-SHA256, 32 bytes")
        request = _request(name=name, **fields)
        scopes = granted(request.scopes, await self._owner(owner), None)
        _, minted = self._minted(owner, request, scopes)
        origin = foreign.origin(self.settings.pepper_key, digest)
        key = replace(minted, digest=digest, key_prefix="", imported=True, mac_id=None, origin=origin)
        await self.store.add_key(key, max_active=self.settings.max_active_keys)
        self.validator.expect_foreign_keys()
        emit(KeyCreated(key.id, owner), self.on_event)
        return key

    async def _owner(self, owner: str) -> User:
        user = await self.store.user(owner)
        if user is None or user.disabled_at is not None:
            raise NotFound("There is no such user", reason="owner_not_found")
        return user

    def _minted(self, owner: str, request: RatedKeyRequest, scopes: frozenset[str]) -> tuple[str, Key]:
        text = key_format.mint(self.settings.key_mac_key, request.environment, request.segment)
        now = self.clock()
        days = request.expires_in_days
        return text, Key(
            id=new_id(),
            owner=owner,
            name=request.name,
            description=request.description,
            **self._kept_of(text),
            environment=request.environment,
            segment=request.segment,
            scopes=scopes,
            created_at=now,
            expires_at=None if days is None else now + days * DAY,
            rate=request.rate,
        )

    def _successor(self, old: Key, now: float) -> tuple[str, Key]:
        text = key_format.mint(self.settings.key_mac_key, old.environment, old.segment)
        lifetime = _lifetime(old)
        return text, replace(
            old,
            id=new_id(),
            **self._kept_of(text),
            created_at=now,
            expires_at=now + lifetime if lifetime else None,
            rotated_lifetime=None,
            last_used_at=None,
            imported=False,
            origin=None,
            salted_hash=None,
        )

    def _kept_of(self, text: str) -> dict[str, Any]:
        pepper_id = foreign.pepper_id(self.settings.pepper_key)
        return {
            "digest": key_format.digest(self.settings.pepper_key, text),
            "key_prefix": text[: key_format.PREFIX_LENGTH],
            "pepper_id": pepper_id,
            "mac_id": pepper_id,
        }


def new_id() -> str:
    return f"key_{secrets.token_hex(12)}"


def _request(**fields: Any) -> RatedKeyRequest:
    if fields.get("scopes") is not None:
        fields["scopes"] = sorted(fields["scopes"])
    return validated(RatedKeyRequest, fields)


def granted(requested: Collection[str] | None, owner: User, limit: Collection[str] | None) -> frozenset[str]:
    allowed = owner.scopes if limit is None else cut(owner.scopes, frozenset(limit))
    if requested is None:
        return allowed
    lacking = sorted(scope for scope in requested if not grants(allowed, scope))
    if lacking:
        raise InsufficientPermissions(*lacking, reason="key_scopes_beyond_owner")
    return frozenset(requested)


def _lifetime(key: Key) -> float | None:
    """Return how long it was made to last: in its grace, a key that was rotated ends sooner than that."""
    if key.rotated_lifetime is not None or key.expires_at is None:
        return key.rotated_lifetime
    return key.expires_at - key.created_at


def _new_key(text: str, key: Key) -> NewKey:
    return NewKey(
        id=key.id,
        name=key.name,
        description=key.description,
        api_key=SecretStr(text),
        key_prefix=key.key_prefix,
        environment=key.environment,
        segment=key.segment,
        scopes=key.scopes,
        created_at=key.created_at,
        expires_at=key.expires_at,
    )
