"""An optional package that is not there is named with the extra that brings it."""

import importlib
import sys

import pytest


@pytest.mark.parametrize(
    ("module", "package", "extra"),
    [
        ("callcov_auth.fastapi", "fastapi", "fastapi"),
        ("callcov_auth.tokens.fetching", "httpx2", "client"),
    ],
)
def test_what_to_install_is_told(
    module: str, package: str, extra: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    monkeypatch.delitem(sys.modules, module, raising=False)
    with pytest.raises(ImportError, match=rf"pip install 'callcov-auth\[{extra}\]'"):
        importlib.import_module(module)
