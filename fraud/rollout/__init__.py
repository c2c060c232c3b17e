"""The rollout of a model version: a share of the calls, then champion or taken back."""
