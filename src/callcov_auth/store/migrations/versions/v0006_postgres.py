"""Indexes that tell at a start of keys without a MAC of ours; for PostgreSQL, more room in the feed."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0004"
branch_labels = None
depends_on = None

FEED, SEQUENCE = "callcov_revocations", "callcov_revocations_id_seq"


def upgrade() -> None:
    op.create_index("ix_callcov_api_keys_mac_id", "callcov_api_keys", ["mac_id"])
    op.create_index(
        "ix_callcov_api_keys_imported",
        "callcov_api_keys",
        ["imported"],
        sqlite_where=sa.text("imported = 1"),
        postgresql_where=sa.text("imported"),
    )
    _count_in(sa.BigInteger(), "bigint")
    _name_in(255)


def downgrade() -> None:
    _name_in(64)
    _count_in(sa.Integer(), "integer")
    op.drop_index("ix_callcov_api_keys_imported", "callcov_api_keys")
    op.drop_index("ix_callcov_api_keys_mac_id", "callcov_api_keys")


def _count_in(kind: sa.types.TypeEngine[int], name: str) -> None:
    # SQLite's INTEGER has 64 bits as it is.
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(FEED, "id", type_=kind)
        op.execute(f"ALTER SEQUENCE {SEQUENCE} AS {name}")


def _name_in(length: int) -> None:
    if op.get_context().dialect.name == "postgresql":
        op.alter_column(FEED, "target_id", type_=sa.String(length))
