"""Replay: the log used again, for dead letters, a lost store, or a feature that was added."""
