"""Quality gates: when not to believe a result. Each is a function that returns a doubt with its evidence, or None."""
