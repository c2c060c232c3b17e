"""Opens the engine that the settings name."""

from fraud.schema.schema import Schema
from jobs.stream.query import Engine
from jobs.stream.settings import EngineName, StreamSettings


def open_engine(settings: StreamSettings, schema: Schema, *, is_traced: bool = False) -> Engine:
    """Open the engine that the settings name; each loads its libraries itself."""
    if settings.engine is EngineName.DIRECT:
        from jobs.stream.direct import DirectEngine  # noqa: PLC0415

        return DirectEngine(settings, schema, is_traced=is_traced)
    from jobs.stream.spark import SparkEngine  # noqa: PLC0415

    return SparkEngine(settings, schema, is_traced=is_traced)
