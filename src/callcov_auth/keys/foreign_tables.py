"""The tables of keys of other programs' libraries: which of their columns is what here."""

import json
from typing import Any

from callcov_auth.errors import ValidationFailed
from callcov_auth.importing import Fields, Table, in_utc, truth

# With the separator that stands before a key's id.
KEYSHIELD_START = "ak_v1-"
KEYGATE_START = "kg_"


def keyshield(start: str = KEYSHIELD_START) -> Table:
    """Return keyshield's ``api_keys``. Keys begin with ``start``: its global prefix and its separator.

    Whose a key is stands in a column of the app's own, if anywhere. A key that is not active is taken for
    one that is revoked.
    """

    def read(fields: Fields, now: float) -> Fields:
        key_id = fields.get("key_id")
        return {
            "owner": fields.get("owner"),
            "name": fields.get("name") or key_id,
            "description": fields.get("description"),
            "digest": fields.get("key_hash"),
            "kind": "keyshield",
            "prefix": key_id and f"{start}{key_id}{start[-1]}",
            # Without any it may do nothing that needs one, which here a key without the column may.
            "scopes": _json_list(fields.get("scopes", [])),
            "created_at": in_utc(fields.get("created_at")),
            "expires_at": in_utc(fields.get("expires_at")),
            "revoked_at": None if truth(fields, "is_active") else now,
        }

    columns = {
        **{name: name for name in ("owner", "name", "description", "scopes", "created_at", "expires_at")},
        "digest": "key_hash",
        "kind": "key_hash",
        "prefix": "key_id",
        "revoked_at": "is_active",
    }
    return Table(columns, ["owner", "key_id", "key_hash", "is_active", "expires_at", "scopes"], read)


def fastapi_keygate() -> Table:
    """Return fastapi-keygate's ``keygate_keys``."""

    def read(fields: Fields, _now: float) -> Fields:
        prefix = fields.get("prefix")
        return {
            "owner": fields.get("owner_id"),
            "name": fields.get("name") or prefix,
            "digest": fields.get("key_hash"),
            "kind": "sha256",
            "prefix": prefix and f"{KEYGATE_START}{prefix}_",
            "scopes": fields.get("scopes", ""),
            "rate": _rate(fields),
            "created_at": in_utc(fields.get("created_at")),
            "expires_at": in_utc(fields.get("expires_at")),
            "revoked_at": in_utc(fields.get("revoked_at")),
        }

    columns = {
        **{name: name for name in ("name", "prefix", "scopes", "created_at", "expires_at", "revoked_at")},
        "owner": "owner_id",
        "digest": "key_hash",
        "kind": "key_hash",
        "rate": "per_minute",
    }
    asked = ["owner_id", "prefix", "key_hash", "expires_at", "revoked_at", "scopes"]
    return Table(columns, [*asked, "per_minute", "per_hour"], read)


def _rate(fields: Fields) -> str | None:
    by_minute, by_hour = fields.get("per_minute"), fields.get("per_hour")
    if by_minute is not None and by_hour is not None:
        raise ValidationFailed({"per_hour": "stands beside per_minute, and a key has one rate: empty one"})
    if by_minute is not None:
        return f"{by_minute}/minute"
    return None if by_hour is None else f"{by_hour}/hour"


def _json_list(value: Any) -> Any:
    if not isinstance(value, str):
        return value
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        raise ValidationFailed({"scopes": "is not a JSON list"}) from None
