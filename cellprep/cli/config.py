"""Commands that run and write files of options."""

import shlex
from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.application import COMMANDS
from cellprep.cli.declare import command
from cellprep.cli.run_file import USUAL_TABLES, Find, Step, check_steps, empty_table, read_steps
from cellprep.errors import CellprepError, UsageError
from cellprep.system.options import Quiet
from cellprep.system.output import write_whole
from cellprep.text.wording import count, did_you_mean

_HEAD = """\
# Options of cellprep, with a table for each command. `cellprep run {path}` runs them in this order.
# Options have the names of the command line. Give repeatable options as a list. Paths are relative to the working
# directory, as on the command line. The tables [train.dn] and [train.wtn] are two trainings; options in [train] above
# them apply to both. Tables of the same command run one after the other, at the position of the first one.
"""


@command("run")
def run_command(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="TOML file with a table for each command, or the run.json of a training to repeat."
        ),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="TABLE.OPTION=VALUE",
            help="Value that replaces the file's, such as train.dn.epochs=5; repeatable.",
        ),
    ] = None,
    first: Annotated[
        str, typer.Option("--from", metavar="TABLE", help="Table to start with; earlier tables are skipped.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file and print its commands, but do not run them.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run the commands in a file, one after the other.

    All options are checked before the first command starts. A command that fails ends the run. Paths are relative to
    the working directory.

    Example: `cellprep run config.toml`
    """
    find: Find = _finder(context)
    steps = read_steps(file, find, changes or [])
    check_steps(file, steps, find)
    tables = [step.table for step in steps]
    if first and first not in tables:
        advice = did_you_mean(first, tables) or f"there is {', '.join(tables)}"
        raise UsageError(f"{file} has no table {first}: {advice}")
    steps = steps[tables.index(first) :] if first else steps
    for place, step in enumerate(steps):
        if dry_run:
            typer.echo(_typed(step))
            continue
        if not quiet:
            typer.echo(f"[{step.table}] {_typed(step)}", err=True)
        _run(file, step, find, steps[place + 1 :], quiet)


def _finder(context: typer.Context) -> Find:
    application = context.find_root().command

    def find(name: str) -> object:
        return application.get_command(context, name)  # type: ignore[attr-defined]

    return find


def _typed(step: Step) -> str:
    return shlex.join(["cellprep", step.command, *step.words])


def _run(file: Path, step: Step, find: Find, left: list[Step], quiet: bool) -> None:
    """Run a step; if it fails or is interrupted, print how to continue."""
    its = find(step.command)
    again = ["cellprep", "run", str(file), "--from", step.table]
    if any(option.name == "resume" for option in its.params):
        again += ["--set", f"{step.table}.resume=true"]
    others = f"; {count(len(left), 'table')} after it did not run" if left else ""
    try:
        silent = ["--quiet"] if quiet and any(option.name == "quiet" for option in its.params) else []
        with its.make_context(step.command, [*silent, *step.words]) as context:
            its.invoke(context)
    except typer.Exit as error:
        if error.exit_code:
            typer.echo(f"stopped at [{step.table}]{others}: cellprep run {file} --from {step.table}", err=True)
            raise
    except KeyboardInterrupt:
        typer.echo(f"interrupted: all files written so far are complete; to continue: {shlex.join(again)}", err=True)
        raise typer.Exit(130) from None
    except CellprepError as error:
        kind = UsageError if isinstance(error, UsageError) else CellprepError
        raise kind(f"{file} [{step.table}]: {error}{others}") from error


@command("config", writes=("out",))
def config_command(
    context: typer.Context,
    action: Annotated[str, typer.Argument(metavar="init", help="Action: init writes a file.")],
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help=f"Tables to write, such as predict or train.dn; by default {', '.join(USUAL_TABLES)}.",
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("config.toml"),
    quiet: Quiet = False,
) -> None:
    """Write a file of options for `cellprep run`: every option with its help and default, commented out.

    Example: `cellprep config init build-targets train.dn --out config.toml`
    """
    if action != "init":
        raise UsageError(f"cellprep config {action}: the only action is `cellprep config init`")
    find = _finder(context)
    lines = [_HEAD.format(path=out)]
    names = tables or [*USUAL_TABLES]
    for name in names:
        its, _, _ = name.partition(".")
        if its not in COMMANDS or its in ("run", "config"):
            raise UsageError(f"there is no command {its}: {did_you_mean(its, COMMANDS) or 'see cellprep --help'}")
        lines += [*empty_table(name, find(its)), "", ""]
    write_whole(out, "\n".join(lines).rstrip() + "\n")
    if not quiet:
        typer.echo(f"{out}: {count(len(names), 'table')}, all options commented out", err=True)
        typer.echo(f"next: cellprep run {shlex.quote(str(out))} --dry-run", err=True)
