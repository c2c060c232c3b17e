"""Grafana dashboards, built by code into the chart that installs them."""
