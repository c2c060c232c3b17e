"""Rules at the command line: ``fraud rules``, ``fraud publish``, ``fraud audit``."""
