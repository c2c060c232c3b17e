"""Performance: how good decisions were once labels have arrived, and how good they likely are before."""
