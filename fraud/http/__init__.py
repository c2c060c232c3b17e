"""What every program with an HTTP side shares: who may call, how often, and errors in words."""
