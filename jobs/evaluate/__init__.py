"""Evaluation: a registered model on a labelled table, the gate, and the aliases that it guards."""
