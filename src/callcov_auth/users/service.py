"""Users: create, check a password, set one, disable."""

import hashlib
import secrets
import string
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace

from callcov_auth.cache.feed import Feed
from callcov_auth.errors import AuthUnavailable, Conflict, InvalidCredentials, NotFound
from callcov_auth.events import LoginFailed, OnEvent, UserChanged, emit
from callcov_auth.store.protocol import Change, Store, User
from callcov_auth.users.passwords import Passwords
from callcov_auth.users.throttle import LoginThrottle
from callcov_auth.validation import Email, Input, NewPassword, Scopes, validated

_LETTERS = string.ascii_lowercase


class UserRequest(Input):
    email: Email
    password: NewPassword
    scopes: Scopes


class PasswordRequest(Input):
    password: NewPassword


class ScopesRequest(Input):
    scopes: Scopes


class UserService:
    """Users and their passwords: ``auth.users``."""

    def __init__(
        self,
        *,
        store: Store,
        feed: Feed,
        passwords: Passwords,
        throttle: LoginThrottle,
        decoy_key: bytes,
        clock: Callable[[], float],
        on_event: OnEvent | None = None,
    ) -> None:
        self._store = store
        self._feed = feed
        self._passwords = passwords
        self._throttle = throttle
        self._decoy_key = decoy_key
        self._clock = clock
        self._on_event = on_event

    async def create(self, email: str, password: str, *, scopes: Collection[str] = ()) -> User:
        """Make a user; emails are kept in lower case. Raises Conflict, ValidationFailed."""
        request = validated(UserRequest, {"email": email, "password": password, "scopes": sorted(scopes)})
        user = User(
            id=new_id(),
            email=request.email,
            password_hash=await self._passwords.hash(request.password),
            scopes=frozenset(request.scopes),
            created_at=self._clock(),
        )
        try:
            await self._store.add_user(user)
        except Conflict:
            raise Conflict("A user with this email exists", reason="email_taken") from None
        emit(UserChanged(user.id, "created"), self._on_event)
        return user

    async def get(self, user_id: str) -> User:
        """Raises NotFound."""
        user = await self._store.user(user_id)
        if user is None:
            raise NotFound("There is no such user", reason="user_not_found")
        return user

    async def by_email(self, email: str) -> User:
        """Raises NotFound."""
        user = await self._store.user_by_email(email.lower())
        if user is None:
            raise NotFound("There is no user with this email", reason="user_not_found")
        return user

    async def list(self) -> Sequence[User]:
        """Return every user, the oldest first."""
        return await self._store.users()

    async def check_password(self, email: str, password: str, address: str | None = None) -> User:
        """Return the user whose email and password these are; hash anew where the costs have changed.

        Raises InvalidCredentials, the same and after the same work for a wrong email as for a wrong
        password, so that nobody learns which emails are known; and RateLimited, without that work, after
        too many such failures: see ``users/throttle.py``.
        """
        async with self._throttle.attempt(email, address):
            return await self._checked(email, password)

    async def _checked(self, email: str, password: str) -> User:
        user = await self._store.user_by_email(email)
        password_hash = user.password_hash if user else await self._somebodys_hash(email)
        matches = await self._passwords.verify(password_hash, password)
        if user is None or not matches or user.disabled_at is not None:
            if user is not None:
                # As for an email that is not known.
                await self._somebodys_hash(email)
            emit(LoginFailed(_why(user, matches), user.id if user else None), self._on_event)
            raise InvalidCredentials()
        if self._passwords.needs_rehash(user.password_hash):
            return await self._with_new_hash(user, password)
        return user

    async def _somebodys_hash(self, email: str) -> str | None:
        """Return the hash by which an unknown email is denied: always that of the same user, any of all.

        Imported hashes take a time of their own, so unknown emails must take as many different ones.
        """
        text = email.encode("utf-8", "surrogatepass")
        place = hashlib.blake2b(text, digest_size=8, key=self._decoy_key, person=b"login decoy").digest()
        return await self._store.password_hash_near("".join(_LETTERS[each % len(_LETTERS)] for each in place))

    async def _with_new_hash(self, user: User, password: str) -> User:
        # The login is right already, so it does not fail for a full queue or a store that cannot write.
        with suppress(AuthUnavailable):
            new = await self._passwords.hash(password)
            await self._store.renew_password_hash(user.id, old=user.password_hash, new=new)
            return replace(user, password_hash=new)
        return user

    async def set_password(self, user_id: str, password: str) -> None:
        """Set a new password, and log the user out everywhere. Raises NotFound, ValidationFailed."""
        request = validated(PasswordRequest, {"password": password})
        password_hash = await self._passwords.hash(request.password)
        self._found(await self._store.change_password(user_id, password_hash, at=self._clock()))
        await self._changed(user_id, "password_set")

    async def set_scopes(self, user_id: str, scopes: Collection[str]) -> None:
        """Set what the user may do; the user's keys are cut to it from now on. Raises NotFound."""
        request = validated(ScopesRequest, {"scopes": sorted(scopes)})
        found = await self._store.set_user_scopes(user_id, frozenset(request.scopes), at=self._clock())
        self._found(found)
        await self._changed(user_id, "scopes_set")

    async def disable(self, user_id: str) -> None:
        """Refuse the user's password, keys and sessions from now on. Raises NotFound."""
        self._found(await self._store.disable_user(user_id, at=self._clock()))
        await self._changed(user_id, "disabled")

    async def enable(self, user_id: str) -> None:
        """Let a user who was disabled in again, with password and keys; sessions that ended stay so.

        Raises NotFound.
        """
        self._found(await self._store.enable_user(user_id, at=self._clock()))
        await self._changed(user_id, "enabled")

    @staticmethod
    def _found(found: bool) -> None:
        if not found:
            raise NotFound("There is no such user", reason="user_not_found")

    async def _changed(self, user_id: str, change: str) -> None:
        await self._feed.publish(Change("user", user_id))
        emit(UserChanged(user_id, change), self._on_event)


def new_id() -> str:
    return f"usr_{secrets.token_hex(12)}"


def _why(user: User | None, matches: bool) -> str:
    if user is None:
        return "unknown_email"
    return "user_disabled" if matches else "wrong_password"
