"""The code blocks and the sections of a page of documentation."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[2]


def python_blocks(page: str) -> list[str]:
    """Return the Python blocks of ``docs/PAGE``, in their order."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    return re.findall(r"^```python\n(.*?)^```$", text, re.M | re.S)


def section_blocks(page: str, heading: str) -> list[str]:
    """Return the Python blocks that stand under ``heading``."""
    text = (ROOT / "docs" / page).read_text("utf-8")
    section = text.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    return re.findall(r"^```python\n(.*?)^```$", section, re.M | re.S)


def sections(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub and mkdocs make them of plain ones."""
    headings = re.findall(r"^#+ (.+)$", page.read_text("utf-8"), re.M)
    return {re.sub(r"[^\w\s-]", "", heading).strip().lower().replace(" ", "-") for heading in headings}
