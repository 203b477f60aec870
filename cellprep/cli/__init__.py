"""The command line: each command only declares its options and calls the library once."""

from cellprep.cli.door import app, main

__all__ = ["app", "main"]
