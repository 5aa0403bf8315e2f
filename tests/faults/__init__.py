"""Killed processes, dead stores, and what is kept and refused meanwhile."""
