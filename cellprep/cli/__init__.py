"""The command line: each command takes the options that the library declares, and calls it once."""

# In this order they hang their commands into the application.
from cellprep.cli import build, learning, prediction, scores, sources, stores
from cellprep.cli.door import app, main

__all__ = ["app", "build", "learning", "main", "prediction", "scores", "sources", "stores"]
