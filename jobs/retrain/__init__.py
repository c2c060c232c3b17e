"""Retraining: from a data interval to a champion, in steps that can each be run again."""
