"""Real-time card-fraud detection: what the services and the jobs must agree on.

This package never imports pyspark, airflow or mlflow: every image carries it.
"""

import os
from typing import Final

# How long a thread of OpenMP spins before it sleeps; libgomp reads it when LightGBM loads it. With its own
# default, two trainings on the same two cores took six times as long.
os.environ.setdefault("GOMP_SPINCOUNT", "1000")

__version__: Final = "0.1.0"
"""As in pyproject.toml; the images carry the code without the package's metadata."""
