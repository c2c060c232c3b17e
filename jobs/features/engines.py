"""The engines that can compute the features of a table."""

from enum import StrEnum


class Engine(StrEnum):
    """What folds a table; the result is the same to the byte."""

    AUTO = "auto"
    """By the number of records."""
    LOCAL = "local"
    """This process alone."""
    SPARK = "spark"
    """In parallel by entity."""
