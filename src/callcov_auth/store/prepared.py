"""Statements on the way of a request and of a login: compiled once, and given to the driver as they are.

By way of SQLAlchemy's Connection, which does more than a lookup asks for, one takes half as long again as the
query itself and the thread that it runs in.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Generic, TypeVar

from sqlalchemy import Connection, CursorResult, Dialect, Select
from sqlalchemy.sql.expression import ClauseElement

T = TypeVar("T")


class Prepared:
    """A statement for one database, whose parameters are known by name."""

    __slots__ = ("_constants", "_names", "sql")

    def __init__(self, statement: ClauseElement, dialect: Dialect) -> None:
        compiled = statement.compile(dialect=dialect)
        self.sql = str(compiled)
        # None where the driver takes them by name.
        self._names: Sequence[str] | None = getattr(compiled, "positiontup", None)
        # What the statement itself gives, as its LIMIT.
        self._constants = {name: value for name, value in compiled.params.items() if value is not None}

    def over(self, values: Mapping[str, Any], connection: Connection) -> CursorResult[Any]:
        """Execute it by way of SQLAlchemy. Raises its errors."""
        return connection.exec_driver_sql(self.sql, self.parameters(values))

    def for_each(self, rows: Sequence[Mapping[str, Any]], connection: Connection) -> None:
        """Execute it with each of ``rows``. Raises SQLAlchemy's errors."""
        connection.exec_driver_sql(self.sql, list(map(self.parameters, rows)))

    def parameters(self, values: Mapping[str, Any]) -> Any:
        """Return ``values`` as the driver takes them."""
        if self._constants:
            values = self._constants | dict(values)
        return values if self._names is None else tuple(map(values.__getitem__, self._names))


Execute = Callable[[Prepared, Mapping[str, Any]], Any]
"""Executes a statement with its parameters, in a transaction; what it returns has ``fetchone``."""


class Lookup(Generic[T]):
    """A SELECT. ``to`` reads a row as the driver gives it: by position, with the driver's own types."""

    __slots__ = ("_prepared", "_to")

    def __init__(self, statement: Select[Any], dialect: Dialect, to: Callable[[Sequence[Any]], T]) -> None:
        self._prepared = Prepared(statement, dialect)
        self._to = to

    def found(self, driver: Any, values: Mapping[str, Any]) -> list[T]:
        """Look it up on a connection of the driver's, sqlite3's or psycopg's. Raises the driver's errors."""
        prepared = self._prepared
        return [self._to(row) for row in driver.execute(prepared.sql, prepared.parameters(values)).fetchall()]

    def over(self, values: Mapping[str, Any], connection: Connection) -> list[T]:
        """Do the same by way of SQLAlchemy. Raises its errors."""
        return [self._to(row) for row in self._prepared.over(values, connection)]
