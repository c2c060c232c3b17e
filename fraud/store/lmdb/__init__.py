"""A store on one machine: LMDB, one folder, many reading and writing processes."""
