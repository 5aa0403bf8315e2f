"""Values as other programs' tables have them."""

import time
from collections.abc import Iterator
from typing import Any

import pytest

from callcov_auth.errors import ValidationFailed
from callcov_auth.importing import in_utc, truth


@pytest.fixture
def far_from_utc(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with monkeypatch.context() as patch:
        patch.setenv("TZ", "America/New_York")
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("far_from_utc")
@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("2026-01-31 12:00:00.5", "2026-01-31T12:00:00.500000+00:00"),
        ("2026-01-31T12:00:00", "2026-01-31T12:00:00+00:00"),
        ("2026-01-31 12:00:00+02", "2026-01-31 12:00:00+02"),
        ("2026-01-31T12:00:00Z", "2026-01-31T12:00:00Z"),
        ("soon", "soon"),
        (1769860800, 1769860800),
        (None, None),
    ],
)
def test_a_time_without_a_zone_is_in_utc_wherever_it_is_read(written: Any, read: Any) -> None:
    assert in_utc(written) == read


@pytest.mark.parametrize(
    ("values", "read"),
    [(("1", "t", "true", "True", "TRUE", 1, True), True), (("0", "f", "false", "False", 0, False), False)],
)
def test_what_is_true_and_what_is_false(values: tuple[Any, ...], read: bool) -> None:
    assert [truth({"mark": value}, "mark") for value in values] == [read] * len(values)


@pytest.mark.parametrize("value", ["", "yes", "2", 2, None, 1.5])
def test_what_is_neither_is_refused(value: Any) -> None:
    with pytest.raises(ValidationFailed) as caught:
        truth({"mark": value}, "mark")
    assert caught.value.details["fields"] == {"mark": "is neither true nor false"}
