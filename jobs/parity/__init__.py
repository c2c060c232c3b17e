"""Parity: what was served against what the log gives."""
