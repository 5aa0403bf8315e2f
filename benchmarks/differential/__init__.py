"""One token, three verifiers: mutants, verdicts, and why they may differ."""
