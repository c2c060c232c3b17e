"""Experiments: always-valid analysis, guardrails, report, and the simulation that shows what it is worth."""
