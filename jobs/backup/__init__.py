"""Backup: copies of what the log alone does not give back, taken while the platform runs, and put back."""
