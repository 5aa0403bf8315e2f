"""The audit log."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None

TABLE = "callcov_audit"


def upgrade() -> None:
    op.create_table(
        TABLE,
        sa.Column("id", sa.BigInteger().with_variant(sa.Integer(), "sqlite"), nullable=False),
        sa.Column("at", sa.Double(), nullable=False),
        sa.Column("event", sa.String(32), nullable=False),
        sa.Column("actor", sa.String(512)),
        sa.Column("subject", sa.String(512)),
        sa.Column("key_id", sa.String(64)),
        sa.Column("session_id", sa.String(512)),
        sa.Column("client", sa.String(64)),
        sa.Column("request_id", sa.String(128)),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id", name="pk_callcov_audit"),
        sqlite_autoincrement=True,
    )
    op.create_index("ix_callcov_audit_at", TABLE, ["at"])
    op.create_index("ix_callcov_audit_key_id_id", TABLE, ["key_id", "id"])
    op.create_index("ix_callcov_audit_subject_id", TABLE, ["subject", "id"])


def downgrade() -> None:
    op.drop_table(TABLE)
