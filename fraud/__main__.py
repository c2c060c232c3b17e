"""``python -m fraud``: the command ``fraud`` where the package is not installed, as in the images."""

from fraud.cli import app

app(prog_name="fraud")
