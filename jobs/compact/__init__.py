"""Compaction: few large files instead of the many small ones that a stream leaves."""
