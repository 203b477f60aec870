import re
import subprocess
import sys
from pathlib import Path

import command_lines
import pytest
from command_lines import COMMANDS
from conftest import tree

from cellprep import DISTANCES, OVERLAP_RULES, READERS, __version__, open_store
from cellprep.cli import main
from cellprep.core.targets import CREDIT
from cellprep.store import StoreWriter


def words(result):
    return re.sub(r"[\s│╭╮╰╯─]+", " ", result.output)


@pytest.mark.parametrize("args", [["--version"], *([name, "--version"] for name in COMMANDS)])
def test_version(cli, args):
    result = cli(*args)
    assert (result.exit_code, result.stdout) == (0, f"cellprep {__version__}\n")


@pytest.mark.parametrize("name", COMMANDS)
def test_help_has_an_example(cli, name):
    result = cli(name, "--help")
    assert result.exit_code == 0
    assert f"Example: cellprep {name} " in words(result)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_has_a_help_text(name):
    assert all(parameter.help for parameter in command_lines.COMMANDS[name].params)


def test_help_names_what_the_registries_hold(cli, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")  # on 80, the names of the distances are broken
    text = words(cli("build-targets", "--help"))
    for registry in (READERS, OVERLAP_RULES):
        assert ", ".join(registry) + "." in text
    assert f"[{'|'.join(DISTANCES)}]" in text  # few and short ones stand in place of the value


def test_builds_and_says_so_on_stderr(cli, write_csv, tmp_path):
    csv = write_csv("a,1 3 7 3,6,5,round", "b,,6,5,round")
    args = ("build-targets", csv, "--out", tmp_path / "s.zarr", "--jobs", 1)
    result = cli(*args)
    assert (result.exit_code, result.stdout) == (0, "")
    summary = "s.zarr: 2 images (2 new, 0 rewritten, 0 current), 1 cell, 1 image without cells\n"
    assert result.stderr.endswith(f"{summary}next: cellprep check {csv}\n")
    assert "(0 new, 0 rewritten, 2 current)" in cli(*args).stderr
    assert cli(*args, "--quiet").output == ""


def test_every_option_reaches_the_store(cli, write_csv, tmp_path):
    csv = write_csv("a,1 3 7 3,6,5,round", "b,2 2,6,5,round")
    (tmp_path / "bins.json").write_text("[1, 2]")
    old = write_csv("b,2 2,6,5,round", "z,2 2,6,5,round", name="old.csv")
    assert cli("build-targets", old, "--out", tmp_path / "s.zarr", "--jobs", 1).exit_code == 0
    options = "--format kaggle-csv --rle-order column --overlap later-on-top --wall-width 5 --distance scipy"
    options += f" --bins {tmp_path / 'bins.json'} --background-cell --image b --pixel-size 0.5 --overwrite --prune"
    result = cli("build-targets", csv, "--out", tmp_path / "s.zarr", "--jobs", 1, *options.split())
    assert result.exit_code == 0, result.output
    again = cli("build-targets", csv, "--out", tmp_path / "s.zarr", "--jobs", 1, *options.split())
    assert "1 image (0 new, 1 rewritten, 0 current)" in again.stderr
    store = open_store(tmp_path / "s.zarr")
    assert list(store) == ["b"]
    assert store.attributes["recipe"] == {
        "overlap": "later-on-top",
        "wall_width": 5,
        "distance": "scipy",
        "bins": [1.0, 2.0],
        "background_cell": True,
        "images": False,
        "pixel_size": 0.5,
        "rle_order": "column",
        "bins_name": None,
        "credit": CREDIT,
    }


def test_failures_are_listed_with_exit_code_1(cli, write_csv, tmp_path):
    csv = write_csv("a,1 3 7,6,5,round", "b,2 2,6,5,round")
    for quiet in ([], ["--quiet"]):
        result = cli("build-targets", csv, "--out", tmp_path / "s.zarr", "--jobs", 1, *quiet)
        assert result.exit_code == 1
        assert "error: 1 of 2 images failed:\n  a: train.csv row 2: it has an odd number" in result.stderr
    assert list(open_store(tmp_path / "s.zarr")) == ["b"]


# What users get wrong: what they type, the exit code, and the one line that they read.
MISTAKES = {
    "no source": (["nowhere.csv"], 1, "cannot read the annotation source nowhere.csv: No such file"),
    "no format": (["{csv}", "--format", "yaml"], 2, "format 'yaml' is unknown: use one of auto, kaggle-csv"),
    "no rule": (["{csv}", "--overlap", "x"], 2, "overlap rule 'x' is unknown: use one of smaller-on-top"),
    "even wall": (["{csv}", "--wall-width", "4"], 2, "wall width 4 is not an odd number"),
    "no distance": (["{csv}", "--distance", "x"], 2, "distance 'x' is unknown: use one of cv2"),
    "no bins": (["{csv}", "--bins", "nowhere.json"], 1, "there are no bins nowhere.json: give one of sartorius, paper"),
    "no image": (["{csv}", "--image", "x"], 2, "image 'x' is not in train.csv"),
    "no folder": (["{csv}", "--images", "nowhere"], 1, "cannot read the image folder nowhere"),
    "jobs": (["{csv}", "--jobs", "0"], 2, "jobs is 0: give 1 or more"),
    "foreign": (["{csv}", "--out", "{csv}"], 1, "cannot hold a store: Not a directory"),
}


@pytest.mark.parametrize(("args", "code", "message"), MISTAKES.values(), ids=MISTAKES.keys())
def test_mistakes_are_one_line(cli, write_csv, tmp_path, monkeypatch, args, code, message):
    monkeypatch.chdir(tmp_path)
    csv = write_csv("a,1 3 7 3,6,5,round")
    result = cli("build-targets", *(arg.format(csv=csv) for arg in args))
    assert result.exit_code == code
    assert result.stdout == ""
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert result.stderr.count("\n") == 1


@pytest.mark.parametrize("args", [["build-targets"], ["build-targets", "a.csv", "--wall-width", "wide"], ["nonsense"]])
def test_wrong_usage_exits_2(cli, args):
    assert cli(*args).exit_code == 2


def test_a_second_run_is_refused_while_one_writes(cli, write_csv, tmp_path):
    csv = write_csv("a,1 3 7 3,6,5,round")
    out = tmp_path / "s.zarr"
    with StoreWriter(out) as writer:
        result = cli("build-targets", csv, "--out", out)
        assert result.exit_code == 1
        assert result.stderr == f"error: another run is writing to {out}: wait until it ends\n"
        assert writer.workspace.is_dir()
    assert cli("build-targets", csv, "--out", out).exit_code == 0


def test_nothing_else_is_touched(command, write_csv, tmp_path):
    csv = write_csv("a,1 3 7 3,6,5,round")
    before = tree(tmp_path)
    assert command("build-targets", csv, "--out", "s.zarr", "--jobs", 2, cwd=tmp_path).returncode == 0
    after = tree(tmp_path)
    assert {name: after[name] for name in before} == before
    assert all(name.startswith("s.zarr/") for name in after.keys() - before.keys())


def test_console_script_and_module_are_the_same():
    script = subprocess.run([Path(sys.executable).with_name("cellprep"), "--version"], capture_output=True, check=True)
    module = subprocess.run([sys.executable, "-m", "cellprep", "--version"], capture_output=True, check=True)
    assert script.stdout == module.stdout


def test_something_unexpected_is_one_line(monkeypatch, capsys):
    def explode():
        raise ZeroDivisionError("of\nsome sort")

    monkeypatch.setattr("cellprep.cli.application.app", explode)
    monkeypatch.setattr("signal.signal", lambda *_: None)  # this process does not leave
    with pytest.raises(SystemExit, match="1"):
        main()
    assert capsys.readouterr().err == (
        "error: unexpected ZeroDivisionError: of some sort; please report it with the traceback that "
        "CELLPREP_TRACEBACK=1 shows\n"
    )
    monkeypatch.setenv("CELLPREP_TRACEBACK", "1")
    with pytest.raises(ZeroDivisionError):
        main()
