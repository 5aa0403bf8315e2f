"""Without the vectors nothing is collected, and scripts/test says so in its last lines; CI must have them."""

import os

from tests.support.vectors import FOLDER

collect_ignore_glob = [] if FOLDER is not None or os.environ.get("CI") else ["test_*.py"]
