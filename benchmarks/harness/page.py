"""The page of the docs that the figures stand in."""

START, END = "<!-- benchmarks -->", "<!-- /benchmarks -->"


class NoMarkers(ValueError):
    """The page does not say where the figures belong."""


def replaced(page: str, content: str) -> str:
    """Return ``page`` with ``content`` between its markers. Raises NoMarkers."""
    before, start, rest = page.partition(START)
    _, end, after = rest.partition(END)
    if not start or not end:
        raise NoMarkers(f"the page needs {START} and, after it, {END}")
    return f"{before}{START}\n\n{content}\n\n{END}{after}"
