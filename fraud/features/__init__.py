"""The feature engine: one fold, three callers (stream, service, batch), over what a schema declares."""
