"""A clock that tests move."""


class Clock:
    """Unix seconds that stand still until ``advance`` is called. Give one to ``Auth`` as its ``clock``."""

    def __init__(self, now: float = 1_800_000_000.0) -> None:
        self.now = now
        """What it says: Unix seconds."""

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        """Move it on."""
        self.now += seconds
