"""The life of rules: what they would do on history, what each one did, and who published them."""
