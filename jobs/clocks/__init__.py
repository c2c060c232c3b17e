"""Clocks of terminals, merchants ...: how far each is ahead or behind, by what it has sent."""
