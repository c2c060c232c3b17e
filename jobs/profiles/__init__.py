"""Profiles of entities from a table: checked, sent to the topic, or written for training."""
