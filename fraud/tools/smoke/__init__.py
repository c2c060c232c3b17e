"""Smoke test of a running platform: what goes in must come out decided."""
