"""Reads a schema's file, a module for each of its parts; errors name the line, and what to write instead."""

from fraud.schema.reading.file import DEFAULT, default_schema, parse_schema, read_schema

__all__ = ["DEFAULT", "default_schema", "parse_schema", "read_schema"]
