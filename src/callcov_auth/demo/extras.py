"""Packages that the demo needs and a plain installation does not bring."""

from importlib.util import find_spec


def need_extras(*names: str) -> None:
    """Raises SystemExit, with one line that tells the cure, where one of ``names`` is not installed."""
    missing = [name for name in names if find_spec(name) is None]
    if missing:
        raise SystemExit(
            f"The demo needs {', '.join(missing)}: pip install 'callcov-auth[fastapi,server,client]'"
        )
