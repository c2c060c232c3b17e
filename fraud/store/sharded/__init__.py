"""A store over several Redis or Valkey primaries: each holds its share of the keys."""
