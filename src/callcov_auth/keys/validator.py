"""API key → Principal."""

from collections.abc import Callable
from dataclasses import dataclass

from callcov_auth.errors import InvalidToken, TokenExpired, TokenRevoked
from callcov_auth.keys import format as key_format
from callcov_auth.keys.last_use import LastUse
from callcov_auth.principal import Principal, cut
from callcov_auth.settings import AuthSettings
from callcov_auth.store.protocol import OwnedKey, Store

UNKNOWN_KEY = "The API key is not valid"
WRONG_PLACE = "The API key is not accepted in this environment"


@dataclass(slots=True)
class KeyValidator:
    """Decides on API keys. What a forged key can be told offline costs no query."""

    settings: AuthSettings
    store: Store
    last_use: LastUse
    clock: Callable[[], float]
    imported_keys: bool = False
    """Whether keys of another origin are stored, which carry no MAC of ours."""

    async def validate(self, text: str) -> Principal:
        """Raises InvalidToken, TokenExpired, TokenRevoked, or AuthUnavailable."""
        if not self.imported_keys:
            self._refuse_forged(text)
        owned = await self.store.key_by_digest(key_format.digest(self.settings.pepper_key, text))
        if owned is None:
            raise InvalidToken(UNKNOWN_KEY, reason="key_unknown")
        now = self.clock()
        self._refuse_ended(owned, now)
        self._refuse_misplaced(owned.key.environment, owned.key.segment)
        self.last_use.note(owned.key.id, now)
        return self._principal(owned)

    def _refuse_forged(self, text: str) -> None:
        form = key_format.read(text)
        if form is None:
            raise InvalidToken(UNKNOWN_KEY, reason="key_malformed")
        if not key_format.is_genuine(self.settings.key_mac_key, text):
            raise InvalidToken(UNKNOWN_KEY, reason="key_mac_wrong")
        self._refuse_misplaced(form.environment, form.segment)

    def _refuse_misplaced(self, environment: str, segment: str | None) -> None:
        if environment not in self.settings.accepted_environments:
            raise InvalidToken(WRONG_PLACE, reason="key_environment")
        accepted = self.settings.accepted_segments
        if accepted is not None and segment not in accepted:
            raise InvalidToken(WRONG_PLACE, reason="key_segment")

    def _refuse_ended(self, owned: OwnedKey, now: float) -> None:
        if owned.key.revoked_at is not None:
            raise TokenRevoked("The API key was revoked", reason="key_revoked")
        if owned.owner_disabled:
            raise TokenRevoked("The API key was revoked", reason="key_owner_disabled")
        if owned.key.expires_at is not None and owned.key.expires_at <= now:
            raise TokenExpired(reason="key_expired")

    def _principal(self, owned: OwnedKey) -> Principal:
        key = owned.key
        return Principal(
            subject=key.owner,
            issuer=self.settings.issuer,
            kind="api_key",
            scopes=cut(key.scopes, owned.owner_scopes),
            environment=key.environment,
            segment=key.segment,
            key_id=key.id,
            expires_at=key.expires_at,
        )
