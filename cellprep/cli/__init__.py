"""The command line: each command only declares its options and calls the library once."""

# In this order they hang their commands into the application.
from cellprep.cli import build, convert, learning, prediction, scores, sources, stores
from cellprep.cli.door import app, main

__all__ = ["app", "build", "convert", "learning", "main", "prediction", "scores", "sources", "stores"]
