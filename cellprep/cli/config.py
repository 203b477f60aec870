"""Commands that run files of options, and begin one."""

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
# Options of cellprep, a table for each command, which `cellprep run {path}` runs in this order.
# Names are those of the command line; a list stands for an option that is repeated. Paths are relative to the folder
# that cellprep runs in, as on the command line. Tables [train.dn] and [train.wtn] are two trainings; what [train] has
# above them holds for both. Tables of one command run one after the other, where the first of them stands.
"""


@command("run")
def run_command(
    context: typer.Context,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE", help="TOML with a table for each command, or the run.json of a training, to begin it anew."
        ),
    ],
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="TABLE.OPTION=VALUE",
            help="Value in place of the file's, repeatable, such as train.dn.epochs=5.",
        ),
    ] = None,
    first: Annotated[
        str, typer.Option("--from", metavar="TABLE", help="Table to begin with; those before are left out.")
    ] = "",
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the file, and print the commands that it means.")
    ] = False,
    quiet: Quiet = False,
) -> None:
    """Run the commands of a file, in its order.

    All options are checked before the first command begins. What fails ends it. Paths are relative to the folder that
    it runs in.

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
    """Run a step; when it fails or is interrupted, say how to go on."""
    its = find(step.command)
    again = ["cellprep", "run", str(file), "--from", step.table]
    if any(option.name == "resume" for option in its.params):
        again += ["--set", f"{step.table}.resume=true"]
    others = f"; {count(len(left), 'table')} behind it did not run" if left else ""
    try:
        silent = ["--quiet"] if quiet and any(option.name == "quiet" for option in its.params) else []
        with its.make_context(step.command, [*silent, *step.words]) as context:
            its.invoke(context)
    except typer.Exit as error:
        if error.exit_code:
            typer.echo(f"stopped at [{step.table}]{others}: cellprep run {file} --from {step.table}", err=True)
            raise
    except KeyboardInterrupt:
        typer.echo(f"interrupted: what is written is whole; {shlex.join(again)} goes on", err=True)
        raise typer.Exit(130) from None
    except CellprepError as error:
        kind = UsageError if isinstance(error, UsageError) else CellprepError
        raise kind(f"{file} [{step.table}]: {error}{others}") from error


@command("config", writes=("out",))
def config_command(
    context: typer.Context,
    action: Annotated[str, typer.Argument(metavar="init", help="What to do: init writes a file.")],
    tables: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="COMMAND",
            help=f"Tables that it has, such as predict or train.dn; {', '.join(USUAL_TABLES)} unless given.",
        ),
    ] = None,
    *,
    out: Annotated[Path, typer.Option(help="File to write.")] = Path("config.toml"),
    quiet: Quiet = False,
) -> None:
    """Begin a file of options for `cellprep run`: every option with its help and default, commented out.

    Example: `cellprep config init build-targets train.dn --out config.toml`
    """
    if action != "init":
        raise UsageError(f"cellprep config {action}: there is nothing but `cellprep config init`")
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
