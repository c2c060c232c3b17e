"""The model: its card and trees, the client that asks for scores, the registry and who follows an alias."""
