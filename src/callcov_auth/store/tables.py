"""The tables. Times are Unix seconds; scopes are space-separated (RFC 6749 §3.3)."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Double,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    text,
)

from callcov_auth.store.protocol import MAX_AUDITED_NAME

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

users = Table(
    "callcov_users",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("email", String(254), nullable=False, unique=True),
    Column("password_hash", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("disabled_at", Double),
)

api_keys = Table(
    "callcov_api_keys",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("owner", String(64), ForeignKey("callcov_users.id"), nullable=False),
    Column("name", String(100), nullable=False),
    Column("description", String(500)),
    Column("digest", LargeBinary(32), nullable=False, unique=True),
    Column("key_prefix", String(14), nullable=False),
    Column("environment", String(4), nullable=False),
    Column("segment", String(16)),
    Column("scopes", Text, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double),
    Column("revoked_at", Double),
    Column("last_used_at", Double),
    Column("imported", Boolean, nullable=False),
    Column("pepper_id", String(8)),
    Column("mac_id", String(8)),
    Column("origin", LargeBinary(32)),
    Column("salted_hash", Text),
    Column("rate", String(32)),
    Column("rotated_lifetime", Double),
    Index(None, "owner", "created_at", "id"),
    Index(None, "origin", unique=True),
    # By these two it is seen at a start, without a scan, whether every key carries a MAC of ours.
    Index(None, "mac_id"),
    Index(None, "imported", sqlite_where=text("imported = 1"), postgresql_where=text("imported")),
    # Of the few keys alone that are looked for by what they start with.
    Index(
        None,
        "key_prefix",
        sqlite_where=text("salted_hash IS NOT NULL"),
        postgresql_where=text("salted_hash IS NOT NULL"),
    ),
)

sessions = Table(
    "callcov_sessions",
    metadata,
    Column("id", String(64), primary_key=True),
    Column("subject", String(255), nullable=False),
    Column("created_at", Double, nullable=False),
    Column("expires_at", Double, nullable=False),
    Column("revoked_at", Double),
    # With defaults, for a process of the version before still inserts while this one has migrated.
    Column("generation", Integer, nullable=False, server_default=text("0")),
    Column("superseded", Text, nullable=False, server_default=text("''")),
    # With the end, so that a login finds those that ended among thousands of one subject.
    Index(None, "subject", "expires_at"),
)

# Sealed: the private JWK (see tokens/sealing.py).
signing_keys = Table(
    "callcov_signing_keys",
    metadata,
    Column("kid", String(64), primary_key=True),
    Column("alg", String(8), nullable=False),
    Column("sealed", LargeBinary, nullable=False),
    Column("created_at", Double, nullable=False),
    Column("signs_from", Double, nullable=False),
    Column("retires_at", Double),
)

# What the feed reads: ids only grow (AUTOINCREMENT in SQLite), so a cursor never meets one twice.
revocations = Table(
    "callcov_revocations",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("target", String(8), nullable=False),
    # As long as a subject. SQLite looks at no length, and this table is not made anew there: ids only grow.
    Column("target_id", String(64).with_variant(String(255), "postgresql"), nullable=False),
    Column("at", Double, nullable=False, index=True),
    sqlite_autoincrement=True,
)

# Ids only grow here too. No key and no user is referred to: the log outlives what it tells of.
audit = Table(
    "callcov_audit",
    metadata,
    Column("id", BigInteger().with_variant(Integer, "sqlite"), primary_key=True, autoincrement=True),
    Column("at", Double, nullable=False, index=True),
    Column("event", String(32), nullable=False),
    Column("actor", String(MAX_AUDITED_NAME)),
    Column("subject", String(MAX_AUDITED_NAME)),
    Column("key_id", String(64)),
    Column("session_id", String(MAX_AUDITED_NAME)),
    Column("client", String(64)),
    Column("request_id", String(128)),
    Column("detail", Text, nullable=False),
    Index(None, "key_id", "id"),
    Index(None, "subject", "id"),
    sqlite_autoincrement=True,
)
