"""How old something is, in days."""

DAY = 86400


def age_in_days(made_at: float, now: float) -> int:
    """Return the whole days between two moments in Unix seconds."""
    return int((now - made_at) // DAY)
