"""The command line: a file for each noun."""

from callcov_auth.cli.app import main

__all__ = ["main"]
