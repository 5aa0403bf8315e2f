"""Six complete small apps; README.md in each folder says how to start it, and what to type next."""
