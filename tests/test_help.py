"""The help of every command: an example that works, the defaults, and what shells complete."""

import inspect
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from command_lines import COMMANDS, choices, parse
from typer.testing import CliRunner

from cellprep import DECODERS, DISTANCES, EXPORTERS, OVERLAP_RULES, READERS, RULES
from cellprep.cli import app
from cellprep.cli.application import COMMANDS as SUMMARIES
from cellprep.learn.networks import NETWORKS
from cellprep.learn.training.options import ALL

CELLS = Path(__file__).parent.parent / "examples" / "cells"
SCRIPT = Path(sys.executable).with_name("cellprep")


def example_of(name):
    """The example in a command's docstring."""
    (line,) = re.findall(r"^Example: `(.+)`$", inspect.cleandoc(COMMANDS[name].callback.__doc__), re.MULTILINE)
    return line


@pytest.mark.parametrize("name", COMMANDS)
def test_the_example_of_the_help_parses(name):
    assert parse(example_of(name)) == name


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_begins_with_one_sentence(name):
    first = inspect.cleandoc(COMMANDS[name].callback.__doc__).split("\n\n")[0]
    assert first.endswith(".")
    assert first.count(". ") == 0
    assert "\n" not in first
    assert first == SUMMARIES[name][1]  # which is told without loading the command


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_shows_every_default(cli, name):
    entries = re.split(r"\n│[ *]{1,6}(?=-)", cli(name, "--help").output)
    shown = {entry.split()[0]: re.sub(r"[\s│]+", " ", entry) for entry in entries}
    for option in COMMANDS[name].params:
        if option.default not in (None, False, "", ()):
            assert f"[default: {option.default}]" in shown[option.opts[0]]


def test_examples_of_the_help_run(tmp_path, monkeypatch, cli):
    """In the order in which a user would: all but those that need a training, or a file that is filled in."""
    shutil.copytree(CELLS, tmp_path, dirs_exist_ok=True)
    shutil.copytree(CELLS / "train", tmp_path / "images")
    monkeypatch.chdir(tmp_path)
    names = [name for name in COMMANDS if name not in ("train", "finetune", "bundle", "tune", "run")]
    for name in sorted(names, key=["build-targets", "predict"].__contains__, reverse=True):
        result = cli(*shlex.split(example_of(name).replace("--folds 5", "--folds 3"))[1:])
        assert result.exit_code == 0, result.output


CHOICES = {
    ("build-targets", "overlap"): OVERLAP_RULES,
    ("build-targets", "distance"): DISTANCES,
    ("build-targets", "format"): ["auto", *READERS],
    ("build-targets", "rle_order"): ["row", "column"],
    ("check", "rules"): RULES,
    ("export", "to"): EXPORTERS,
    ("convert", "to"): EXPORTERS,
    ("predict", "to"): EXPORTERS,
    ("predict", "decoder"): DECODERS,
    ("train", "network"): [*NETWORKS, ALL],
    ("finetune", "only"): NETWORKS,
}


@pytest.mark.parametrize(("name", "option"), CHOICES, ids=str)
def test_choices_are_completed(name, option):
    (parameter,) = [parameter for parameter in COMMANDS[name].params if parameter.name == option]
    with COMMANDS[name].make_context(name, [], resilient_parsing=True) as context:
        assert choices(parameter, context) == set(CHOICES[name, option])


def ask(shell, line):
    """Return the completions of a line for a shell."""
    words = {"COMP_WORDS": line, "COMP_CWORD": str(len(shlex.split(line)) - (line[-1] != " "))}
    zsh_and_fish = {"_TYPER_COMPLETE_ARGS": line, "_TYPER_COMPLETE_FISH_ACTION": "get-args"}
    env = {"_CELLPREP_COMPLETE": f"complete_{shell}", **words, **zsh_and_fish}
    return CliRunner().invoke(app, prog_name="cellprep", env=env).output


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_shells_complete(shell):
    assert set(re.findall(r"[\w-]{5,}", ask(shell, "cellprep predict --decoder wa"))) - {"_arguments"} == {
        "walls",
        "watershed",
    }
    assert all(name in ask(shell, "cellprep ") for name in COMMANDS)
    assert "export" in ask(shell, "cellprep exp")
    assert "--decoder" in ask(shell, "cellprep predict --dec")


@pytest.mark.skipif(shutil.which("bash") is None, reason="there is no bash")
def test_bash_takes_the_completion():
    script = subprocess.run(
        [SCRIPT], env={**os.environ, "_CELLPREP_COMPLETE": "source_bash"}, capture_output=True, text=True, check=True
    ).stdout
    steps = f"{script}\nCOMP_WORDS=(cellprep export --to k); COMP_CWORD=3; _cellprep_completion {SCRIPT}"
    result = subprocess.run(
        ["bash", "-c", f"{steps}; echo ${{COMPREPLY[@]}}"], capture_output=True, text=True, check=True
    )
    assert result.stdout == "kaggle-csv\n"


def test_the_help_comes_at_once():
    """Half a second on an idle machine; processor time, as others may be at work here."""
    before = os.times()
    subprocess.run([SCRIPT, "--help"], capture_output=True, check=True)
    after = os.times()
    assert after.children_user + after.children_system - before.children_user - before.children_system < 2


@pytest.mark.parametrize("name", COMMANDS)
def test_a_long_help_has_a_group_for_every_option(name):
    groups = [its.rich_help_panel for its in COMMANDS[name].params if its.opts[0].startswith("-")]
    assert all(groups) or not any(groups)
