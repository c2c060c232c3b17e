"""What training, online learning, retraining and evaluation share: examples, fit, measures, gate."""
