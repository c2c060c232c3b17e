"""The model server: scores feature vectors over the v2 inference protocol."""
