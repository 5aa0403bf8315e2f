"""What is remembered between requests, and how it is forgotten in time."""
