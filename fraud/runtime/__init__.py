"""What a running program needs around it: logs, metrics, readiness, its threads, its cluster."""
