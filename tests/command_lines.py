"""Command lines in documents and help texts, parsed as the command itself parses them."""

import shlex

import typer.main

from cellprep.cli import app

COMMANDS = typer.main.get_command(app).commands


def choices(parameter, context):
    """The values that a parameter completes, which are all that it takes; none if it takes others."""
    return {item.value for item in parameter.shell_complete(context, "") if item.type == "plain"}


def parse(line):
    """Take a line apart and return its command; raise unless command, options, values and choices exist."""
    program, name, *args = shlex.split(line, comments=True)
    assert program == "cellprep", line
    assert name in COMMANDS, f"{line}: no command {name}"
    command = COMMANDS[name]
    if set(args) & {"--help", "--version"}:
        return name
    with command.make_context(name, args) as context:
        for parameter in command.params:
            allowed = choices(parameter, context)
            value = context.params.get(parameter.name)
            given = list(value) if isinstance(value, (list, tuple)) else [value]
            for one in given if allowed else []:
                assert one in {None, "", "none"} or str(one) in allowed, f"{line}: {parameter.name} {one}"
    return name


def joined(block):
    """The command lines of a block of text, with lines that end in a backslash put together."""
    lines = block.replace("\\\n", " ").splitlines()
    lines = [line.strip().removeprefix("$ ") for line in lines]
    return [line for line in lines if line.startswith("cellprep ")]
