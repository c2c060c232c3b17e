"""Rollout: a new version tried on a share of the traffic, then promoted or taken back."""
