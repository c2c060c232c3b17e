"""A store in a cluster: one Redis or Valkey primary, with its replicas."""
