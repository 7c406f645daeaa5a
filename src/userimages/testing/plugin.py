"""The pytest plugin: prefixed fixtures, nothing autouse."""
