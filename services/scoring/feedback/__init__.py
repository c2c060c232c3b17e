"""What clients tell beside transactions: labels, results, profiles; checked, and sent on to the stream."""
