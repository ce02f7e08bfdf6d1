"""Tables, states, leases and the outbox: SQLAlchemy on SQLite."""
