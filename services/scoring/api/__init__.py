"""The HTTP side of the scoring service: routes, bodies within bounds, OpenAPI, KServe's protocols."""
