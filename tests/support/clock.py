"""A clock that tests move."""

from callcov_auth.testing import Clock

__all__ = ["Clock"]
