"""Lists that rules read, changed by people: ``fraud lists``."""
