"""Real-time card-fraud detection: what the services and the jobs must agree on.

This package never imports pyspark, airflow or mlflow: every image carries it.
"""

from typing import Final

__version__: Final = "0.1.0"
"""As in pyproject.toml; the images carry the code without the package's metadata."""
