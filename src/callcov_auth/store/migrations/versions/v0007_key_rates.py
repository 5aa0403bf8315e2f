"""How often a key may be used, where it has a rate of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("callcov_api_keys", sa.Column("rate", sa.String(32)))


def downgrade() -> None:
    op.drop_column("callcov_api_keys", "rate")
