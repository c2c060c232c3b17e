"""Reference rates of currencies at the command line: ``fraud rates``."""
