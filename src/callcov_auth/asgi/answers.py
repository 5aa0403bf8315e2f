"""What the endpoints answer. Secrets become text here, on their way out, and nowhere else."""

from collections.abc import Collection
from datetime import UTC, datetime
from typing import Any, Literal, Self

from pydantic import BaseModel, ConfigDict

from callcov_auth.age import age_in_days
from callcov_auth.keys.service import NewKey
from callcov_auth.store.protocol import Key, KeyPage, User
from callcov_auth.tokens.issuer import TokenPair


class Answer(BaseModel):
    model_config = ConfigDict(frozen=True)

    @property
    def is_secret(self) -> bool:
        """Whether it must not be stored on its way (RFC 9111 §5.2.2.5)."""
        return False


class Done(Answer):
    success: Literal[True] = True
    message: str


class Tokens(Answer):
    access_token: str
    refresh_token: str
    token_type: Literal["bearer"] = "bearer"  # noqa: S105
    expires_in: int

    @property
    def is_secret(self) -> bool:
        return True

    @classmethod
    def of(cls, pair: TokenPair) -> Self:
        return cls(
            access_token=pair.access_token.get_secret_value(),
            refresh_token=pair.refresh_token.get_secret_value(),
            expires_in=pair.expires_in,
        )


class KeyAnswer(Answer):
    """What every answer tells of a key."""

    id: str
    name: str
    description: str | None
    key_prefix: str
    environment: str
    segment: str | None
    scopes: list[str]
    created_at: str
    expires_at: str | None


class CreatedKey(KeyAnswer):
    """A key as it is made: the one answer that shows its text."""

    api_key: str

    @property
    def is_secret(self) -> bool:
        return True

    @classmethod
    def of(cls, key: NewKey) -> Self:
        return cls(api_key=key.api_key.get_secret_value(), **_told_of(key))


class ListedKey(KeyAnswer):
    """A key as its owner may see it again. ``age_days`` is in whole days."""

    last_used_at: str | None
    revoked_at: str | None
    age_days: int
    rotation_due: bool

    @classmethod
    def of(cls, key: Key, *, now: float, rotation_days: int) -> Self:
        age_days = age_in_days(key.created_at, now)
        return cls(
            last_used_at=rfc3339_or_none(key.last_used_at),
            revoked_at=rfc3339_or_none(key.revoked_at),
            age_days=age_days,
            rotation_due=age_days >= rotation_days,
            **_told_of(key),
        )


class ListedKeys(Answer):
    api_keys: list[ListedKey]
    total: int
    next_cursor: str | None

    @classmethod
    def of(cls, page: KeyPage, *, now: float, rotation_days: int) -> Self:
        return cls(
            api_keys=[ListedKey.of(key, now=now, rotation_days=rotation_days) for key in page.keys],
            total=page.total,
            next_cursor=page.cursor,
        )


class Me(Answer):
    id: str
    email: str
    scopes: list[str]
    created_at: str

    @classmethod
    def of(cls, user: User, scopes: Collection[str]) -> Self:
        return cls(id=user.id, email=user.email, scopes=sorted(scopes), created_at=rfc3339(user.created_at))


def _told_of(key: Key | NewKey) -> dict[str, Any]:
    return {
        "id": key.id,
        "name": key.name,
        "description": key.description,
        "key_prefix": key.key_prefix,
        "environment": key.environment,
        "segment": key.segment,
        "scopes": sorted(key.scopes),
        "created_at": rfc3339(key.created_at),
        "expires_at": rfc3339_or_none(key.expires_at),
    }


def rfc3339(seconds: float) -> str:
    """Return Unix seconds as RFC 3339 in UTC, in whole milliseconds, with ``Z``."""
    moment = datetime.fromtimestamp(seconds, UTC)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def rfc3339_or_none(seconds: float | None) -> str | None:
    return None if seconds is None else rfc3339(seconds)
