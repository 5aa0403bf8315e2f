"""Measurements that need a quiet machine, so they are no part of the test suite."""
