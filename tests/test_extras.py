"""An optional package that is not there is named with the extra that brings it."""

import importlib
import sys

import pytest

from callcov_auth import Auth
from callcov_auth.settings import SettingsError
from tests.support.settings import make_settings


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("callcov_auth.fastapi", "fastapi", "fastapi"),
        ("callcov_auth.django", "django.http", "django"),
        ("callcov_auth.tokens.fetching", "httpx2", "client"),
        ("callcov_auth.store.postgres", "psycopg", "postgres"),
        ("callcov_auth.redis_pool", "redis", "redis"),
        ("callcov_auth.otel", "opentelemetry", "otel"),
    ],
)
def test_what_to_install_is_told(
    module: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ImportError, match=rf"pip install 'callcov-auth\[{extra}\]'"):
        importlib.import_module(module)


def test_a_start_on_postgresql_without_psycopg_stops_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "psycopg", None)
    monkeypatch.delitem(sys.modules, "callcov_auth.store.postgres", raising=False)
    with pytest.raises(SettingsError, match=r"CALLCOV_AUTH_DATABASE_URL: .*'callcov-auth\[postgres\]'"):
        Auth(make_settings(database_url="postgresql://db.example/auth"))


def test_a_start_with_a_redis_url_and_no_redis_py_stops_with_the_cure(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    for module in ("redis_pool", "cache.pushed", "cache.subscription"):
        monkeypatch.delitem(sys.modules, f"callcov_auth.{module}", raising=False)
    with pytest.raises(SettingsError, match=r"CALLCOV_AUTH_REDIS_URL: .*'callcov-auth\[redis\]'"):
        Auth(make_settings(redis_url="redis://cache/0"))


def test_a_start_with_otel_and_no_opentelemetry_stops_with_the_cure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "opentelemetry", None)
    monkeypatch.delitem(sys.modules, "callcov_auth.otel", raising=False)
    with pytest.raises(SettingsError, match=r"CALLCOV_AUTH_OTEL: .*'callcov-auth\[otel\]'"):
        Auth(make_settings(otel=True))
