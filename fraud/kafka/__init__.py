"""Kafka: how records are sent and read, the same way in every program."""
