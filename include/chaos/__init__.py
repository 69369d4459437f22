"""Chaos: pulls and loads under faults, kills and database crashes, then every row against the simulator's truth."""
