"""Login's pair of tokens, refresh, logout, and access tokens on their own."""

import secrets
from collections.abc import Awaitable, Callable, Collection
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import SecretStr

from callcov_auth.cache.feed import Feed
from callcov_auth.errors import AuthUnavailable, InvalidCredentials, TokenExpired, TokenRevoked
from callcov_auth.events import LoggedIn, LoggedOut, LoggedOutEverywhere, OnEvent, emit
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import Change, Session, SessionPage, Store, User
from callcov_auth.tokens.claims import Claims
from callcov_auth.tokens.families import GENERATION, Families, generation_of
from callcov_auth.tokens.guards import refused
from callcov_auth.tokens.keyring import Keyring
from callcov_auth.tokens.verifier import ACCESS, REFRESH, TokenVerifier
from callcov_auth.validation import Email, Input, Name, PageRequest, Password, Scopes, Text, validated
from callcov_auth.watching import Watch, unwatched


class LoginRequest(Input):
    email: Email
    password: Password


class RefreshRequest(Input):
    refresh_token: Text


class LogoutRequest(Input):
    """Without ``refresh_token`` the session of the access token itself ends."""

    refresh_token: Text | None = None


class IssueRequest(Input):
    subject: Name
    scopes: Scopes


class SessionsRequest(PageRequest):
    """Whose sessions are meant, and which page of them."""

    subject: Name


@dataclass(frozen=True, slots=True)
class TokenPair:
    """What login and refresh answer. ``expires_in`` is the access token's life, in seconds."""

    access_token: SecretStr
    refresh_token: SecretStr
    expires_in: int
    token_type: Literal["bearer"] = "bearer"  # noqa: S105


@dataclass(slots=True)
class TokenService:
    """Sessions and their tokens: ``auth.tokens``."""

    settings: AuthSettings
    store: Store
    feed: Feed
    families: Families
    keyring: Keyring | None
    verifier: TokenVerifier
    check_password: Callable[[str, str, str | None], Awaitable[User]]
    clock: Callable[[], float]
    on_event: OnEvent | None = None
    watch: Watch = unwatched

    async def login(self, email: str, password: str, *, address: str | None = None) -> TokenPair:
        """Begin a session. Raises InvalidCredentials, RateLimited, ValidationFailed, AuthUnavailable.

        ``address`` is the client's: failures count by account and address. Without one they count by
        account alone, so that whoever knows an email can use up its owner's tries: give it where you know it.
        """
        request = validated(LoginRequest, {"email": email, "password": password})
        with self.watch("login"):
            user, session = await self._begin_login(request, address)
        emit(LoggedIn(user.id, session.id), self.on_event)
        return self._pair(session, user.scopes, self._refresh(session))

    async def refresh(self, refresh_token: str) -> TokenPair:
        """Return a new access token beside the same refresh token, or beside a new one where they rotate.

        Either ends when the session does. Raises InvalidToken, TokenExpired, and TokenRevoked after logout,
        once the user is disabled, and for a token that was superseded longer ago than the grace: that ends
        the session.
        """
        sent = validated(RefreshRequest, {"refresh_token": refresh_token}).refresh_token
        with self.watch("refresh"):
            return await self._refreshed(sent)

    async def _refreshed(self, sent: str) -> TokenPair:
        claims = await self.verifier.refresh_claims(sent)
        generation = generation_of(claims)
        # Twice, because another refresh with this token may come between; what it leaves is then read.
        for _ in range(2):
            session, user = await self._session(claims)
            newest = await self.families.continued(session, generation)
            if newest is not None:
                is_same = newest.generation == generation
                return self._pair(newest, user.scopes, sent if is_same else self._refresh(newest))
        raise AuthUnavailable(reason="session_contended")

    async def session_of(self, refresh_token: str) -> tuple[Session, User]:
        """Return the session that a refresh token continues, and whose it is; nothing is changed by it.

        Raises as ``refresh`` does.
        """
        claims = await self.verifier.refresh_claims(refresh_token)
        session, user = await self._session(claims)
        if self.families.is_reused(session, generation_of(claims)):
            raise TokenRevoked("The refresh token was superseded", reason="refresh_superseded")
        return session, user

    async def _session(self, claims: Claims) -> tuple[Session, User]:
        session = await self.store.session(claims.get("sid", ""))
        if session is None or session.revoked_at is not None:
            raise TokenRevoked("The session was ended", reason="session_revoked")
        if session.subject != claims["sub"]:
            raise refused("not_the_sessions_subject")
        user = await self.store.user(session.subject)
        if user is None or user.disabled_at is not None:
            raise TokenRevoked("The session was ended", reason="user_disabled")
        return session, user

    async def logout(self, refresh_token: str | None = None, *, session_id: str | None = None) -> None:
        """End the session of ``refresh_token``; without one, ``session_id``. Twice changes nothing.

        Raises InvalidToken for something that is no refresh token of ours.
        """
        request = validated(LogoutRequest, {"refresh_token": refresh_token})
        ending, user_id = session_id, None
        if request.refresh_token is not None:
            try:
                claims = await self.verifier.refresh_claims(request.refresh_token)
            except TokenExpired:
                return
            ending, user_id = claims.get("sid"), claims["sub"]
        if ending is not None:
            await self._end(ending, user_id)

    async def logout_everywhere(self, subject: str) -> None:
        """End every session of ``subject``, a user's id. API keys go on working. Twice changes nothing.

        Raises ValidationFailed.
        """
        named = validated(SessionsRequest, {"subject": subject}).subject
        await self.store.revoke_sessions(named, at=self.clock())
        await self.feed.publish(Change("user", named))
        emit(LoggedOutEverywhere(named), self.on_event)

    async def sessions(self, subject: str, **fields: Any) -> SessionPage:
        """List the sessions of ``subject`` that are alive, newest first; ``fields`` are PageRequest's.

        Raises ValidationFailed.
        """
        request = validated(SessionsRequest, {"subject": subject, **fields})
        return await self.store.sessions(
            request.subject, at=self.clock(), limit=request.limit, cursor=request.cursor
        )

    async def issue(self, subject: str, *, scopes: Collection[str] = ()) -> str:
        """Return an access token for ``subject``, with a session of its own. Raises ValidationFailed."""
        request = validated(IssueRequest, {"subject": subject, "scopes": sorted(scopes)})
        session = self._new_session(request.subject, self.settings.access_token_ttl)
        await self.store.add_session(session)
        return self._access(session, frozenset(request.scopes))

    def public_keys(self) -> dict[str, Any]:
        """Return the JWK set by which others verify our tokens; secret keys are not in it."""
        return {"keys": []} if self.keyring is None else self.keyring.public_set()

    async def _begin_login(self, request: LoginRequest, address: str | None) -> tuple[User, Session]:
        # Twice, because another login may have hashed the same password anew in the meantime.
        for _ in range(2):
            user = await self.check_password(request.email, request.password, address)
            session = self._new_session(user.id, self.settings.refresh_token_ttl)
            if await self.store.add_session(session, password_hash=user.password_hash):
                return user, session
        raise InvalidCredentials(reason="password_changed_meanwhile")

    def _new_session(self, subject: str, ttl: int) -> Session:
        # Whole seconds, so that the row ends when the token does.
        now = int(self.clock())
        return Session(f"ses_{secrets.token_hex(12)}", subject, now, now + ttl)

    async def _end(self, session_id: str, user_id: str | None) -> None:
        await self.store.revoke_session(session_id, at=self.clock())
        await self.feed.publish(Change("session", session_id))
        emit(LoggedOut(session_id, user_id), self.on_event)

    def _pair(self, session: Session, scopes: frozenset[str], refresh_token: str) -> TokenPair:
        access = self._access(session, scopes)
        return TokenPair(SecretStr(access), SecretStr(refresh_token), self.settings.access_token_ttl)

    def _refresh(self, session: Session) -> str:
        """Return a token of the newest generation; those of one generation are all as good."""
        numbered = {GENERATION: session.generation} if session.generation else {}
        return self._signed(REFRESH, session, ends_at=session.expires_at, **numbered)

    def _access(self, session: Session, scopes: frozenset[str]) -> str:
        ends_at = int(self.clock()) + self.settings.access_token_ttl
        return self._signed(ACCESS, session, ends_at=ends_at, scope=" ".join(sorted(scopes)))

    def _signed(self, typ: str, session: Session, *, ends_at: float, **claims: Any) -> str:
        now = int(self.clock())
        payload = {
            "iss": self.settings.issuer,
            "sub": session.subject,
            "aud": self.settings.audience,
            "exp": int(ends_at),
            "iat": now,
            "nbf": now,
            "jti": secrets.token_urlsafe(16),
            "sid": session.id,
            **claims,
        }
        if self.keyring is None:
            raise RuntimeError("a resource server has no signing key: with CALLCOV_AUTH_SECRET it has one")
        return self.keyring.signing.sign(typ, payload)
