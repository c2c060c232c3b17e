"""Real-time card-fraud detection: what the services and the jobs must agree on.

This package never imports pyspark, airflow or mlflow: every image carries it.
"""
