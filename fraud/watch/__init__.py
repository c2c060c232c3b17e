"""Statistics that drift, performance and experiments share, and the way of a job's figures to Prometheus."""
