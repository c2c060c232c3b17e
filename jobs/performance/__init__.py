"""Performance: how good decisions were once labels have come, and how good they likely are before."""
