"""Schemas made of what other systems export."""
