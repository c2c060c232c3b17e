"""Deciding: the policy, the rules and the experiment that turn a score into an outcome."""
