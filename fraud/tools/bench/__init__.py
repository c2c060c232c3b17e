"""Measurements on this machine: ``fraud bench``."""
