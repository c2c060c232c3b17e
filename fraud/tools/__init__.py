"""Tools for people: bench, demo, smoke test, dashboards. They may import any room; no room imports them."""
