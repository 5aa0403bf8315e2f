"""Users, keys, sessions and the revocations that the feed reads."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "callcov_users",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("email", sa.String(254), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("disabled_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_callcov_users"),
        sa.UniqueConstraint("email", name="uq_callcov_users_email"),
    )
    op.create_table(
        "callcov_api_keys",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("owner", sa.String(64), nullable=False),
        sa.Column("name", sa.String(100), nullable=False),
        sa.Column("description", sa.String(500)),
        sa.Column("digest", sa.LargeBinary(32), nullable=False),
        sa.Column("key_prefix", sa.String(14), nullable=False),
        sa.Column("environment", sa.String(4), nullable=False),
        sa.Column("segment", sa.String(16)),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double()),
        sa.Column("revoked_at", sa.Double()),
        sa.Column("last_used_at", sa.Double()),
        sa.Column("imported", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callcov_api_keys"),
        sa.UniqueConstraint("digest", name="uq_callcov_api_keys_digest"),
        sa.ForeignKeyConstraint(["owner"], ["callcov_users.id"], name="fk_callcov_api_keys_owner"),
    )
    op.create_index(
        "ix_callcov_api_keys_owner_created_at_id", "callcov_api_keys", ["owner", "created_at", "id"]
    )
    op.create_table(
        "callcov_sessions",
        sa.Column("id", sa.String(64), nullable=False),
        sa.Column("subject", sa.String(255), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("expires_at", sa.Double(), nullable=False),
        sa.Column("revoked_at", sa.Double()),
        sa.PrimaryKeyConstraint("id", name="pk_callcov_sessions"),
    )
    op.create_index("ix_callcov_sessions_subject", "callcov_sessions", ["subject"])
    op.create_table(
        "callcov_revocations",
        sa.Column("id", sa.Integer(), nullable=False),
        sa.Column("target", sa.String(8), nullable=False),
        sa.Column("target_id", sa.String(64), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callcov_revocations"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_callcov_revocations_at", "callcov_revocations", ["at"])


def downgrade() -> None:
    for table in ("callcov_revocations", "callcov_sessions", "callcov_api_keys", "callcov_users"):
        op.drop_table(table)
