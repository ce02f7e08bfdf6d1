"""The configuration: what may stand in config.toml, and reading it."""
