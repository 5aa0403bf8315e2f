"""The store: what every store promises, and what SQLite adds to it."""

import pytest

pytest.register_assert_rewrite("tests.store.contract")
