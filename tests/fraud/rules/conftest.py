"""The disturbed stream that others read too."""

from tests.jobs.conftest import log_copy, played

__all__ = ["log_copy", "played"]
