"""Pictures within a page, so that it fetches nothing."""

import base64
import io
from typing import Any


def image_source(png: bytes) -> str:
    """Write a picture as the source of an ``img``.

    Examples
    --------
    >>> image_source(b"png")
    'data:image/png;base64,cG5n'
    """
    return f"data:image/png;base64,{base64.b64encode(png).decode()}"


def figure_source(figure: Any, **options: Any) -> str:
    """Draw a figure of matplotlib as the source of an ``img``; ``options`` are those of its ``savefig``."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", **options)
    return image_source(buffer.getvalue())
