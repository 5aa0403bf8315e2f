"""SELECTs on the way of a request: compiled once, and given to the driver as they are.

By way of SQLAlchemy's Connection, which does more than a lookup asks for, one takes half as long again as the
query itself and the thread that it runs in.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Dialect, Select
from sqlalchemy.engine.interfaces import DBAPIConnection, DBAPICursor

Row = Sequence[Any]
"""A row as the driver gives it, by position, with the driver's own types."""


class Lookup:
    """A SELECT for one database, whose parameters are known by name."""

    __slots__ = ("_names", "_sql")

    def __init__(self, statement: Select[Any], dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        # None where the driver takes them by name.
        self._names: Sequence[str] | None = getattr(compiled, "positiontup", None)

    def rows(self, connection: DBAPIConnection, values: Mapping[str, Any]) -> Sequence[Row]:
        """Raises the driver's errors."""
        cursor: DBAPICursor = connection.cursor()
        try:
            cursor.execute(self._sql, self._parameters(values))
            return cursor.fetchall()
        finally:
            cursor.close()

    def over(self, values: Mapping[str, Any], connection: Connection) -> Sequence[Row]:
        """Do the same by way of SQLAlchemy. Raises its errors."""
        parameters: Any = self._parameters(values)
        return connection.exec_driver_sql(self._sql, parameters).all()

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        return values if self._names is None else tuple(values[name] for name in self._names)
