"""The console: live alerts, cases, labels, and the state of model and experiment, for people."""
