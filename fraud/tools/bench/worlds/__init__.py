"""Worlds of the scoreboard: tables in the form of public data sets, drawn from their descriptions."""
