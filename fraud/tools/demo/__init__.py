"""The main job, end to end on one machine: generate, train, start everything, stream, check, report."""
