"""The backfill: history from before go-live into the feature store and, through the spool, into Delta."""
