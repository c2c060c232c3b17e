"""Compaction: few large files in the place of the many small ones that a stream leaves."""
