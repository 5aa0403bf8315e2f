"""Signing keys, their private parts sealed."""

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "callcov_signing_keys",
        sa.Column("kid", sa.String(64), nullable=False),
        sa.Column("alg", sa.String(8), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Double(), nullable=False),
        sa.Column("signs_from", sa.Double(), nullable=False),
        sa.Column("retires_at", sa.Double()),
        sa.PrimaryKeyConstraint("kid", name="pk_callcov_signing_keys"),
    )


def downgrade() -> None:
    op.drop_table("callcov_signing_keys")
