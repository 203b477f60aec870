"""Writes the command reference from the texts of ``--help``."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sphinx.application import Sphinx
from typer.main import get_command

from cellprep.cli import app

_FEW = 5  # maximum number of commands to name

HEAD = """# Commands

Every command has these options:

- `--help` shows the text of this page.
- `--version` shows the version.
- `--quiet` shows errors only.

Results go to stdout. Messages and progress go to stderr.
An image that fails does not stop the others. All failures are listed at the end.

| exit code | meaning |
|---:|---|
| 0 | success |
| 1 | something failed. The error names the image or row, the problem and the valid form |
| 2 | wrong usage: a command, an option or a value that does not exist |
| 130 | interrupted by Ctrl-C. Everything written so far is complete |

**Completion.** `cellprep --install-completion` enables shell completion in bash, zsh, fish and PowerShell.
It completes commands, options, and the values of options such as `--decoder`.
It adds a line to the start-up file of the shell. `cellprep --show-completion` prints the script instead.

**Bugs.** An error that starts with `error: unexpected` is a bug.
Set the environment variable `CELLPREP_TRACEBACK=1` to see its origin, and include the output in your report.
"""

#: Effect of existing output on the commands that do not refuse it.
CONTINUED = {
    "build-targets": "continued: current images are kept; `--rebuild` builds them again",
    "demo": "a folder of an earlier demo is generated again; other folders are refused",
    "tune": "continued, if it is the same tuning; other folders are refused",
}

EXISTING = """
## Existing output

No command changes existing files or folders unless you ask for it.
A folder that `--overwrite` replaces is moved aside first and comes back if the command fails before it writes anything.
Folders that contain the input, the working directory, a store, or files that are not output are never replaced.
The hidden file `.cellprep-files` in a folder of output lists its files.
Folders of output from earlier versions have no such list and must be removed by hand.
A training, and Zarr data from `predict --maps`, are replaced with everything in their folder, but not while a network
is being trained there.

| command | option | if something exists there |
|---|---|---|
"""

ALIASES = """
## Names from other tools

These names are accepted on the command line and in [files](howto/config.md), and by most Python functions.
Underscores can replace hyphens.

| option | other names | commands |
|---|---|---|
"""


def existing_output(commands: Mapping[str, Any]) -> str:
    """Return the table of the effect of existing output on each command."""
    rows = []
    for name, command in commands.items():
        flags = {its.name: f"`{its.opts[0]}`" for its in command.params}
        for written in command.callback.writes or (("out",) if name in CONTINUED else ()):
            resumes = "`--resume` continues it, " if "resume" in flags else ""
            words = CONTINUED.get(name, f"refused; {resumes}`--overwrite` replaces it")
            rows.append(f"| `{name}` | {flags[written]} | {words} |")
    return EXISTING + "\n".join(rows) + "\n"


def names_of_other_tools(commands: Mapping[str, Any]) -> str:
    """Return the table of alternative names of options."""
    names: dict[str, dict[str, list[str]]] = {}
    for name, command in commands.items():
        for alias, flag in command.callback.aliases.items():
            names.setdefault(flag, {}).setdefault(f"`{alias}`", []).append(f"`{name}`")
    rows = []
    for flag, aliases in sorted(names.items()):
        known = next(iter(aliases.values()))
        users = ", ".join(known) if len(known) <= _FEW else "all with this option"
        rows.append(f"| `{flag}` | {', '.join(aliases)} | {users} |")
    return ALIASES + "\n".join(rows) + "\n"


def describe(name: str, command: Any) -> str:
    """Return the section of a command: its text, its example, its arguments and options."""
    text, _, example = inspect.cleandoc(command.callback.__doc__).partition("\n\nExample: ")
    rows = [_row(parameter) for parameter in command.params if parameter.name not in ("quiet", "version")]
    table = "\n".join(["| option | default | description |", "|---|---|---|", *rows])
    return f"\n## {name}\n\n{text}\n\n```console\n$ {example.strip('`')}\n```\n\n{table}\n"


def _row(parameter: Any) -> str:
    is_option = parameter.opts[0].startswith("-")
    name = f"{parameter.opts[0]} {parameter.metavar or ''}".strip() if is_option else parameter.metavar
    name = name or parameter.name
    default = "" if parameter.default in (None, False, "", ()) else f"`{parameter.default}`"
    cells = f"`{name}`", "required" if parameter.required else default, parameter.help
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"


def write_commands(sphinx: Sphinx) -> None:
    """Write the page before the others are read."""
    page = Path(sphinx.srcdir) / "commands.md"
    commands: dict[str, Any] = vars(get_command(app))["commands"]
    text = HEAD + existing_output(commands) + names_of_other_tools(commands)
    text += "".join(describe(name, command) for name, command in commands.items())
    if not page.exists() or page.read_text(encoding="utf-8") != text:
        page.write_text(text, encoding="utf-8")


def setup(sphinx: Sphinx) -> dict[str, Any]:
    """Take part in the build."""
    sphinx.connect("builder-inited", write_commands)
    return {"parallel_read_safe": True}
