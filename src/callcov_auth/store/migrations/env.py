"""Run by Alembic. The connection, with its lock already taken, comes from ``store/schema.py``."""

from alembic import context

from callcov_auth.store.tables import metadata

connection = context.config.attributes["connection"]
context.configure(
    connection=connection,
    target_metadata=metadata,
    version_table="callcov_schema",
    # SQLite's DDL is transactional too, inside the transaction that the caller began.
    transactional_ddl=True,
)
context.run_migrations()
