"""Programs that run and then end: one folder, one image."""
