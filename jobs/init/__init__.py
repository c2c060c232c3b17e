"""``fraud init``: from a file that an adopter brings to a schema that reads it."""
