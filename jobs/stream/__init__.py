"""The streaming job: Kafka transactions and labels in; decisions, alerts, dead letters and history out."""
