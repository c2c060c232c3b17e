"""What the decisions of a period would have stopped, by their labels."""
