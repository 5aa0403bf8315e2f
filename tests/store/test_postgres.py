"""PostgreSQL's address, as it is written and as psycopg takes it."""

import pytest

from callcov_auth.settings import SettingsError
from callcov_auth.store import postgres
from callcov_auth.store.sql import SqlStore

PASSWORD = "a-password-that-nobody-may-see"


@pytest.mark.parametrize(
    "url",
    [
        f"postgresql://app:{PASSWORD}@db.example/auth?colour={PASSWORD}",
        f"postgresql://app:{PASSWORD}@[::1/auth",
    ],
)
def test_an_address_that_cannot_be_read_stops_the_start_and_is_not_shown(url: str) -> None:
    with pytest.raises(SettingsError, match=r"DATABASE_URL: .* write postgresql://USER:PASS") as refusal:
        SqlStore(url)
    assert PASSWORD not in str(refusal.value)
    assert refusal.value.__context__ is None


def test_what_libpq_knows_can_be_said() -> None:
    options = postgres._options(
        "postgres://app@one.example:5432,two.example:5433/auth?target_session_attrs=read-write"
    )
    assert options["host"] == "one.example,two.example"
    assert options["target_session_attrs"] == "read-write"


def test_asyncpgs_word_for_tls_is_understood() -> None:
    assert postgres._options("postgresql+asyncpg://db.example/auth?ssl=require")["sslmode"] == "require"
