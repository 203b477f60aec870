"""Existing outputs: all commands refuse them equally, and replace them on request."""

import importlib.util
import shutil
from pathlib import Path

import pytest
from command_lines import COMMANDS
from conftest import tree

from cellprep.cli.existing import RUN, replaced
from cellprep.errors import UsageError
from cellprep.system.aside import FILES

ROOT = Path(__file__).parent.parent
WRITES = [(name, option) for name, command in COMMANDS.items() for option in command.callback.writes]
CONTINUED = ("build-targets", "demo", "tune")


def test_the_documents_tell_of_every_output():
    spec = importlib.util.spec_from_file_location("commands", ROOT / "docs" / "_extensions" / "commands.py")
    extension = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(extension)
    assert tuple(extension.CONTINUED) == CONTINUED
    outputs = {name for name, command in COMMANDS.items() if any(its.name == "out" for its in command.params)}
    assert outputs - {name for name, _ in WRITES} == {*CONTINUED}
    table = extension.existing_output(COMMANDS)
    assert "| `train` | `--out` | refused; `--resume` continues it, `--overwrite` replaces it |" in table
    assert "| `predict` | `--maps` | refused; `--overwrite` replaces it |" in table
    assert "| `--max-lr` | `--lr`, `--learning-rate` | `train`, `finetune` |" in extension.names_of_other_tools(
        COMMANDS
    )


@pytest.mark.parametrize(("name", "option"), [pair for pair in WRITES if pair[0] not in ("train", "finetune")])
def test_what_is_there_is_refused_before_anything_is_read(cli, tmp_path, monkeypatch, name, option):
    monkeypatch.chdir(tmp_path)
    taken = tmp_path / ("taken" if option == "pictures" else "taken.csv")
    if option == "pictures":
        taken.mkdir()
    (taken / "mine" if option == "pictures" else taken).write_text("mine")
    needed = [
        word
        for its in COMMANDS[name].params
        if its.required and its.name != option
        for word in ([its.opts[0]] if its.opts[0].startswith("-") else []) + ["init" if its.name == "action" else "a"]
    ]
    flag = next(its.opts[0] for its in COMMANDS[name].params if its.name == option)
    worst = ["--worst", 1] if option == "pictures" else []
    result = cli(name, *needed, flag, taken, *worst)
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == f"error: {taken} already exists: replace it with --overwrite, or choose another path\n"
    assert [path.name for path in tmp_path.iterdir()] == [taken.name]


def test_files_and_folders_are_replaced_whole_or_stay(cli, write_csv, tmp_path):
    csv, out, folds = write_csv("a,1 3 7 3,6,5,x"), tmp_path / "labels", tmp_path / "folds.csv"
    line = ("convert", csv, "--to", "label-tiff", "--out", out, "--jobs", 1, "--quiet")
    assert cli(*line).exit_code == 0
    before = tree(out)
    assert cli(*line[:1], tmp_path / "nowhere", *line[2:], "--overwrite").exit_code == 1
    assert tree(out) == before  # it came back
    csv.write_text(csv.read_text().replace("a,1", "b,1"))
    (out / ".DS_Store").touch()
    assert cli(*line, "--overwrite").output == ""
    assert sorted(path.name for path in out.iterdir()) == [FILES, "b.tif", "b_classes.csv"]
    folds.write_text("old")
    write_csv("a,1 3 7 3,6,5,x", "b,1 3 7 3,6,5,x")
    assert cli("split", csv, "--folds", 2, "--out", folds, "--jobs", 1, "--overwrite").exit_code == 0
    assert folds.read_text().startswith("image,")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["folds.csv", "labels", "train.csv"]


def test_what_may_be_the_users_is_never_replaced(cli, write_csv, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    csv, own = write_csv("a,1 3 7 3,6,5,x"), tmp_path / "own"
    own.mkdir()
    source = csv.rename(own / "train.csv")
    line = ("convert", source, "--to", "label-tiff", "--overwrite", "--quiet", "--out")
    assert cli("build-targets", source, "--jobs", 1, "--quiet", "--out", "s.zarr").exit_code == 0
    (tmp_path / "link").symlink_to(own)
    before = sorted(tmp_path.rglob("*"))
    for out, why in {
        own: "own/train.csv is in ",
        source: "is the input file",
        tmp_path: "contains the working directory or your home",
        tmp_path / "s.zarr": "is a store or other Zarr data",
        tmp_path / "link": "is a link to a folder",
    }.items():
        result = cli(*line, out)
        assert (result.exit_code, why in result.stderr) == (2, True), result.stderr
    result = cli("split", source, "--out", own, "--overwrite")
    assert (result.exit_code, "it exists and is not a file" in result.stderr) == (1, True)
    result = cli("train", "dn", "--data", "s.zarr", "--out", own, "--overwrite")
    assert (result.exit_code, "own has no run.json, so that it may contain other files" in result.stderr) == (2, True)
    assert sorted(tmp_path.rglob("*")) == before


def test_folders_with_other_files_are_not_replaced(cli, write_csv, tmp_path):
    """Such as a folder of images, which has the same kinds of files as output."""
    csv, out = write_csv("a,1 3 7 3,6,5,x"), tmp_path / "out"
    line = ("convert", csv, "--to", "label-tiff", "--out", out, "--jobs", 1, "--quiet", "--overwrite")
    out.mkdir()
    (out / "image.tif").touch()
    result = cli(*line)
    assert (result.exit_code, f"out has no {FILES}, so that it may contain" in result.stderr) == (2, True)
    (out / "image.tif").unlink()
    assert cli(*line).exit_code == 0
    for name, why in {
        "b.tif": "b.tif is not output of this command: move it",
        "deep/notes.docx": "notes.docx is not output of this command: move it",
        "deep/s.zarr": "s.zarr is a store",
        ".notes": ".notes is not output of this command: move it",
    }.items():
        own = out / name
        own.parent.mkdir(exist_ok=True)
        if own.suffix == ".zarr":
            assert cli("build-targets", csv, "--jobs", 1, "--quiet", "--out", own).exit_code == 0
        else:
            own.touch()
        result = cli(*line)
        assert (result.exit_code, why in result.stderr, own.exists()) == (2, True, True), result.stderr
        shutil.rmtree(own) if own.is_dir() else own.unlink()
    for damaged in ("", "{", "5", '{"a.tif": 1}'):
        (out / FILES).write_text(damaged)
        result = cli(*line)
        assert (result.exit_code, f"{FILES} is damaged: remove {out} yourself" in result.stderr) == (2, True)


def test_pictures_and_trainings_do_not_replace_predictions(tmp_path):
    for name, mark in (("a.tif", ""), ("zarr.json", RUN)):
        folder = tmp_path / name
        folder.mkdir()
        (folder / name).write_text('{"attributes": {"cellprep-maps": 1}}')
        with pytest.raises(UsageError, match=r"is not output of this command|is a store or other Zarr"):
            replaced([folder], [], mark).__enter__()


def test_an_empty_folder_does_not_replace_output(tmp_path):
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.png").touch()
    with pytest.raises(KeyboardInterrupt), replaced([folder], [], ""):
        folder.mkdir()
        raise KeyboardInterrupt
    assert [path.name for path in tmp_path.rglob("*")] == ["out", "a.png"]


def test_images_that_a_glob_finds_are_not_replaced(tmp_path):
    image = tmp_path / "out" / "a.tif"
    image.parent.mkdir()
    image.touch()
    with pytest.raises(UsageError, match="the input"), replaced([image.parent], [f"{tmp_path}/*/*.tif"]):
        pass
