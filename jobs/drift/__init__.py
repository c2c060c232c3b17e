"""Drift: the served days against the days that the model was trained and registered with."""
