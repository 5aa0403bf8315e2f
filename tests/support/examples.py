"""How many examples a property gets."""

import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings


def full_run(examples: int) -> Callable[[Any], Any]:
    """Ask for ``examples``; ``HYPOTHESIS_EXAMPLES`` sets another number for a quick look."""
    number = int(os.environ.get("HYPOTHESIS_EXAMPLES", examples))
    return settings(
        max_examples=number,
        deadline=None,
        suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
    )
