"""Suspended: a command that runs on a cluster while the stream is stopped, and lets it go on afterwards."""
