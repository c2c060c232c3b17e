"""Feature vectors of whole tables: ``fraud features build``."""
