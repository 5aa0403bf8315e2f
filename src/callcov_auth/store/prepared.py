"""SELECTs on the way of a request: compiled once, and given to the driver as they are.

By way of SQLAlchemy's Connection, which does more than a lookup asks for, one takes half as long again as the
query itself and the thread that it runs in.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, Dialect, Select

T = TypeVar("T")


class Lookup(Generic[T]):
    """A SELECT for one database, whose parameters are known by name.

    ``to`` reads a row as the driver gives it: by position, with the driver's own types.
    """

    __slots__ = ("_names", "_sql", "_to")

    def __init__(self, statement: Select[Any], dialect: Dialect, to: Callable[[Sequence[Any]], T]) -> None:
        compiled = statement.compile(dialect=dialect)
        self._sql = str(compiled)
        self._to = to
        # None where the driver takes them by name.
        self._names: Sequence[str] | None = getattr(compiled, "positiontup", None)

    def found(self, driver: Any, values: Mapping[str, Any]) -> list[T]:
        """Look it up on a connection of the driver's, sqlite3's or psycopg's. Raises the driver's errors."""
        return [self._to(row) for row in driver.execute(self._sql, self._parameters(values)).fetchall()]

    def over(self, values: Mapping[str, Any], connection: Connection) -> list[T]:
        """Do the same by way of SQLAlchemy. Raises its errors."""
        parameters: Any = self._parameters(values)
        return [self._to(row) for row in connection.exec_driver_sql(self._sql, parameters)]

    def _parameters(self, values: Mapping[str, Any]) -> Any:
        return values if self._names is None else tuple(map(values.__getitem__, self._names))
