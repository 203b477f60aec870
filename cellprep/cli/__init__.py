"""The command line: each command takes the options that a library function declares, and calls it once."""

from cellprep.cli.application import app, main

__all__ = ["app", "main"]
