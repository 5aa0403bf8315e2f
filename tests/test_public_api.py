"""What other programs may use, each name with its signature, against tests/public_api.txt."""

import difflib

from tests.support.public_api import SNAPSHOT, current

CURE = (
    "The public API is not what tests/public_api.txt says. A line that went (-) breaks programs: announce it "
    "one minor version ahead, in CHANGELOG.md. Where the change is meant: python -m tests.support.public_api"
)


def test_the_public_api_is_what_it_was() -> None:
    was, now = SNAPSHOT.read_text("utf-8").splitlines(), current().splitlines()
    changed = [line for line in difflib.ndiff(was, now) if line.startswith(("-", "+"))]
    assert not changed, "\n".join((CURE, *changed))
