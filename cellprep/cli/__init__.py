"""The command line: each command only declares its options and calls the library once."""

from cellprep.cli import (  # in this order they hang their commands into the application
    build,
    learning,
    scores,
    sources,
    stores,
)
from cellprep.cli.door import app, main

__all__ = ["app", "build", "learning", "main", "scores", "sources", "stores"]
