"""The disturbed stream that others read too."""

from tests.jobs.conftest import played

__all__ = ["played"]
