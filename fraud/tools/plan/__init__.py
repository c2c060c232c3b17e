"""How large a deployment must be: measured figures, a simulated day, and what follows from both."""
