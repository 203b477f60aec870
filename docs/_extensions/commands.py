"""Writes the page of commands from what their ``--help`` is made of."""

import inspect
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from typer.main import get_command

from cellprep.cli import app

HEAD = """# Commands

Every command has `--help`, which tells what stands here, `--version`, and `--quiet`: say nothing but errors. Data go
to stdout, words and progress to stderr. A failing image does not stop the others; all failures are listed at the end.

| exit code | |
|---:|---|
| 0 | done |
| 1 | something failed: which image or row, what is wrong, what would be right |
| 2 | wrong usage: a command, an option or a value that does not exist |
| 130 | interrupted by Ctrl-C; what is written is whole |

**Completion.** `cellprep --install-completion` teaches the shell that it is typed into (bash, zsh, fish, PowerShell)
to complete commands, options, and the names that options such as `--decoder` take. It adds a line to the shell's
start-up file; `cellprep --show-completion` prints the script instead.

**Defects.** A line that begins with `error: unexpected` is one. With `CELLPREP_TRACEBACK=1` in the environment it
shows where it comes from; please report it with that.
"""


def describe(name: str, command: Any) -> str:
    """Return the section of a command: its text, its example, its arguments and options."""
    text, _, example = inspect.cleandoc(command.callback.__doc__).partition("\n\nExample: ")
    rows = [_row(parameter) for parameter in command.params if parameter.name not in ("quiet", "version")]
    table = "\n".join(["| | default | |", "|---|---|---|", *rows])
    return f"\n## {name}\n\n{text}\n\n```console\n$ {example.strip('`')}\n```\n\n{table}\n"


def _row(parameter: Any) -> str:
    is_option = parameter.opts[0].startswith("-")
    name = f"{parameter.opts[0]} {parameter.metavar or ''}".strip() if is_option else parameter.metavar
    default = "" if parameter.default in (None, False, "", ()) else f"`{parameter.default}`"
    return (
        f"| `{name}` | {'needed' if parameter.required else default} | {parameter.help.replace('|', chr(92) + '|')} |"
    )


def write_commands(sphinx: Sphinx) -> None:
    """Write the page before the others are read."""
    page = Path(sphinx.srcdir) / "commands.md"
    commands: dict[str, Any] = vars(get_command(app))["commands"]
    text = HEAD + "".join(describe(name, command) for name, command in commands.items())
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(sphinx: Sphinx) -> dict[str, Any]:
    """Take part in the build."""
    sphinx.connect("builder-inited", write_commands)
    return {"parallel_read_safe": True}
