"""Redis pushes revocations, and whatever befalls it."""
