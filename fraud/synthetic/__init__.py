"""The synthetic world: cardholders, merchants, honest traffic and eight patterns of fraud."""
