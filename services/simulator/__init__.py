"""The simulator: synthetic card traffic with known fraud, as Parquet files or as a stream to Kafka."""
