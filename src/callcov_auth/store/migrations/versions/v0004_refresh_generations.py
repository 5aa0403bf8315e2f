"""Which generation of its refresh tokens a session has reached, and when the ones before were superseded."""

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column(
        "callcov_sessions", sa.Column("generation", sa.Integer(), nullable=False, server_default=sa.text("0"))
    )
    op.add_column(
        "callcov_sessions", sa.Column("superseded", sa.Text(), nullable=False, server_default=sa.text("''"))
    )
    if _looks_at_lengths():
        op.alter_column("callcov_revocations", "target_id", type_=sa.String(255))


def downgrade() -> None:
    op.drop_column("callcov_sessions", "superseded")
    op.drop_column("callcov_sessions", "generation")


def _looks_at_lengths() -> bool:
    return op.get_bind().dialect.name == "postgresql"
