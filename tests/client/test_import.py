"""What the client loads, and what it says where there is no library for it."""

import subprocess
import sys

import pytest

# The server's side, and what it stands on.
HEAVY = (
    "starlette",
    "pydantic",
    "pydantic_settings",
    "sqlalchemy",
    "alembic",
    "cryptography",
    "jwt",
    "argon2",
)
OURS = ("callcov_auth.auth", "callcov_auth.settings", "callcov_auth.asgi", "callcov_auth.store")

WITHOUT = """
import sys
for name in {missing!r}:
    sys.modules[name] = None
import importlib.util
find_spec = importlib.util.find_spec
importlib.util.find_spec = lambda name, *rest: None if name in {missing!r} else find_spec(name, *rest)
from callcov_auth.client import ApiKeyAuth
print([base.__module__.split(".")[0] for base in ApiKeyAuth.__mro__ if base.__name__ == "Auth"])
"""


def run(program: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)


def test_it_loads_nothing_of_the_servers() -> None:
    ran = run(
        f"import sys, callcov_auth.client; print([name for name in {HEAVY + OURS!r} if name in sys.modules])"
    )

    assert (ran.stdout.strip(), ran.returncode) == ("[]", 0)


@pytest.mark.parametrize(
    ("missing", "served"),
    [
        ((), ["httpx2", "httpx"]),
        (("httpx",), ["httpx2"]),
        (("httpx2",), ["httpx"]),
        (("httpx", "httpx2"), []),
    ],
)
def test_it_serves_what_is_installed(missing: tuple[str, ...], served: list[str]) -> None:
    assert run(WITHOUT.format(missing=missing)).stdout.strip() == str(served)


def test_it_tells_what_to_install() -> None:
    ran = run(WITHOUT.format(missing=("httpx", "httpx2", "requests")))

    assert "ImportError: callcov_auth.client needs httpx2: pip install 'callcov-auth[client]'" in ran.stderr
