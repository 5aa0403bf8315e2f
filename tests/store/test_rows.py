"""What reading a row by position stands on."""

from dataclasses import fields
from typing import Any

import pytest
from sqlalchemy import Table

from callcov_auth.store.protocol import Key, SealedKey, Session, User
from callcov_auth.store.tables import api_keys, sessions, signing_keys, users


@pytest.mark.parametrize(
    ("record", "table"),
    [(User, users), (Key, api_keys), (Session, sessions), (SealedKey, signing_keys)],
    ids=lambda each: getattr(each, "__name__", ""),
)
def test_the_columns_stand_in_the_order_of_the_fields(record: Any, table: Table) -> None:
    assert [column.name for column in table.columns] == [field.name for field in fields(record)]
