"""Labels, results and profiles from clients: checked, and sent on to the stream."""
