"""What runs in the tasks of a micro-batch: the passes over its records, up to the decisions."""
