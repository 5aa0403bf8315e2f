"""An index by which the sessions of one subject that have ended are found among those that have not."""

from alembic import op

revision = "0008"
down_revision = "0007"
branch_labels = None
depends_on = None

TABLE = "callcov_sessions"
BY_SUBJECT, BY_SUBJECT_AND_END = "ix_callcov_sessions_subject", "ix_callcov_sessions_subject_expires_at"


def upgrade() -> None:
    op.create_index(BY_SUBJECT_AND_END, TABLE, ["subject", "expires_at"])
    op.drop_index(BY_SUBJECT, TABLE)


def downgrade() -> None:
    op.create_index(BY_SUBJECT, TABLE, ["subject"])
    op.drop_index(BY_SUBJECT_AND_END, TABLE)
