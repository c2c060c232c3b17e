"""Suspended: a command that runs on a cluster while the stream is stopped, and resumes it afterwards."""
