"""The command line: each command only declares its options and calls the library once."""

from cellprep.cli import build, scores, sources, stores  # in this order they hang their commands into the application
from cellprep.cli.door import app, main

__all__ = ["app", "build", "main", "scores", "sources", "stores"]
