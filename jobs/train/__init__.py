"""Training: from transactions and labels to a registered model."""
