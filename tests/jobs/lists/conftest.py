"""A broker of its own."""

from tests.jobs.stream.conftest import kafka

__all__ = ["kafka"]
