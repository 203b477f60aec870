"""Writes the page of commands from what their ``--help`` is made of."""

from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from typer.cli import get_docs_for_click
from typer.main import get_command

from cellprep.cli import app


def write_commands(sphinx: Sphinx) -> None:
    """Write the page before the others are read."""
    import typer

    command = get_command(app)
    text = get_docs_for_click(obj=command, ctx=typer.Context(command), name="cellprep")
    page = Path(sphinx.srcdir) / "commands.md"
    text = f"# Commands\n\n{text.split(chr(10), 1)[1]}"
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(sphinx: Sphinx) -> dict[str, Any]:
    """Take part in the build."""
    sphinx.connect("builder-inited", write_commands)
    return {"parallel_read_safe": True}
