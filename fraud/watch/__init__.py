"""Statistics and pages of reports that drift, performance and experiments share; figures for Prometheus."""
