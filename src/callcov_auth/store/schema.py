"""Which schema a database has, and the way from an older one to ours."""

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from callcov_auth.store.protocol import SchemaError


def bring_up_to_date(connection: Connection, *, migrate: bool) -> None:
    """Upgrade the schema inside the caller's transaction, which holds the database's write lock.

    Raises SchemaError for a schema newer than this package, and for an older one unless ``migrate``.
    """
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = connection
    current, newest = current_revision(connection), newest_revision(config)
    if current == newest:
        return
    if current is not None and current not in _known(config):
        raise SchemaError(
            f"the database's schema is {current}, newer than this callcov-auth knows ({newest}): "
            "upgrade the package"
        )
    if not migrate:
        raise SchemaError(
            f"the database's schema is {current or 'empty'}, and this callcov-auth needs {newest}: "
            "set CALLCOV_AUTH_AUTO_MIGRATE=true for one start, or run 'callcov-auth db upgrade'"
        )
    command.upgrade(config, "head")


def current_revision(connection: Connection) -> str | None:
    """Return the schema's revision; None for an empty database."""
    context = MigrationContext.configure(connection, opts={"version_table": "callcov_schema"})
    return context.get_current_revision()


def newest_revision(config: Config) -> str:
    newest = ScriptDirectory.from_config(config).get_current_head()
    if newest is None:
        raise SchemaError("the package was installed without its migrations: install it again")
    return newest


def _known(config: Config) -> set[str]:
    return {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
