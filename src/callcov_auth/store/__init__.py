"""Where users, keys, sessions and revocations are kept."""
