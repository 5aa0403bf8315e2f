"""Which schema a database has, and the way from an older one to ours."""

from functools import cache
from pathlib import Path
from typing import Any

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection

from callcov_auth.store.protocol import SchemaError

# What made an empty SQLite database whole, by the folder of migrations. The next is made by the same
# statements, for Alembic takes far longer, and a suite of tests may open a database for each of them.
_made: dict[str, list[str]] = {}


def bring_up_to_date(connection: Connection, *, migrate: bool) -> None:
    """Upgrade the schema inside the caller's transaction, which holds the database's write lock.

    Raises SchemaError for a schema newer than this package, and for an older one unless ``migrate``.
    """
    folder = str(Path(__file__).parent / "migrations")
    current, revisions = current_revision(connection), _revisions(folder)
    newest = revisions[0]
    if current == newest:
        return
    if current is not None and current not in revisions:
        raise SchemaError(
            f"the database's schema is {current}, newer than this callcov-auth knows ({newest}): "
            "upgrade the package"
        )
    if not migrate:
        raise SchemaError(
            f"the database's schema is {current or 'empty'}, and this callcov-auth needs {newest}: "
            "set CALLCOV_AUTH_AUTO_MIGRATE=true for one start, or run 'callcov-auth db upgrade'"
        )
    if _is_bare_sqlite(connection):
        _make(connection, folder)
    else:
        _upgrade(connection, folder)


def current_revision(connection: Connection) -> str | None:
    """Return the schema's revision; None for an empty database."""
    context = MigrationContext.configure(connection, opts={"version_table": "callcov_schema"})
    return context.get_current_revision()


@cache
def _revisions(folder: str) -> tuple[str, ...]:
    """Return the revisions that this package knows, the newest first."""
    known = tuple(script.revision for script in ScriptDirectory(folder).walk_revisions())
    if not known:
        raise SchemaError("the package was installed without its migrations: install it again")
    return known


def _upgrade(connection: Connection, folder: str) -> None:
    config = Config()
    config.set_main_option("script_location", folder)
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _is_bare_sqlite(connection: Connection) -> bool:
    """Whether it holds nothing at all, also of other programs: what is told of it is schema alone."""
    if connection.dialect.name != "sqlite":
        return False
    return connection.exec_driver_sql("SELECT 1 FROM sqlite_master").first() is None


def _make(connection: Connection, folder: str) -> None:
    if folder in _made:
        for statement in _made[folder]:
            connection.exec_driver_sql(statement)
        return
    _upgrade(connection, folder)
    driver: Any = connection.connection.driver_connection
    # Without its own BEGIN and COMMIT.
    _made[folder] = list(driver.iterdump())[1:-1]
