"""How long a key that was rotated was to last, for whoever rotates it again."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("callcov_api_keys", sa.Column("rotated_lifetime", sa.Double()))


def downgrade() -> None:
    op.drop_column("callcov_api_keys", "rotated_lifetime")
