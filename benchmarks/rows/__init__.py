"""The rows of the table, a module for those that are measured alike."""
