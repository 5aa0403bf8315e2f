"""Under which pepper a key's digest and its MAC were made, and what of an imported key is still foreign."""

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("callcov_api_keys", sa.Column("pepper_id", sa.String(8)))
    op.add_column("callcov_api_keys", sa.Column("mac_id", sa.String(8)))
    op.add_column("callcov_api_keys", sa.Column("origin", sa.LargeBinary(32)))
    op.add_column("callcov_api_keys", sa.Column("salted_hash", sa.Text()))
    op.create_index("ix_callcov_api_keys_origin", "callcov_api_keys", ["origin"], unique=True)
    salted = sa.text("salted_hash IS NOT NULL")
    op.create_index(
        "ix_callcov_api_keys_key_prefix",
        "callcov_api_keys",
        ["key_prefix"],
        sqlite_where=salted,
        postgresql_where=salted,
    )


def downgrade() -> None:
    for index in ("key_prefix", "origin"):
        op.drop_index(f"ix_callcov_api_keys_{index}", "callcov_api_keys")
    for column in ("salted_hash", "origin", "mac_id", "pepper_id"):
        op.drop_column("callcov_api_keys", column)
