"""The console: live alerts, cases, verdicts, and the state of model and experiment, for people."""
