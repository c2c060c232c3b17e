"""Performance: how good decisions were once verdicts have come, and how good they likely are before."""
