"""The schema of a deployment: the fields of a transaction, the entities that have states, the features."""
