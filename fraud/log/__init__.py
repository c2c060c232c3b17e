"""The log: the Delta tables that say what arrived, in which order, and what was served for it."""
