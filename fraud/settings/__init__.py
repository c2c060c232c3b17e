"""Settings: read once, from the environment or a caller, by topic."""
