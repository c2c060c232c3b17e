"""The scoring service: a raw transaction in, a decision out, in milliseconds, from the stream's own state."""
