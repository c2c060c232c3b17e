"""Programs that always run: one folder, one image."""
