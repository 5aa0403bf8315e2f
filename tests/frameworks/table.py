"""``python -m tests.frameworks.table`` writes the matrix into docs/frameworks.md."""

import re

from tests.frameworks.matrix import table
from tests.support.markdown import ROOT

PAGE = ROOT / "docs" / "frameworks.md"
MARK = "<!-- made by python -m tests.frameworks.table -->\n"
_TABLE = re.compile(re.escape(MARK) + r"(\|[^\n]*\n)*")


def written(text: str) -> str:
    """Return ``text`` with the table as it is now."""
    return _TABLE.sub(lambda _: f"{MARK}{table()}\n", text)


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text("utf-8")), "utf-8")
