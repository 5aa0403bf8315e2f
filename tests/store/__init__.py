"""The store: what every store promises, and what each database adds to it."""
