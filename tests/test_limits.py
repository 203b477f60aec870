"""The numbers in docs/limits.md are those of the code."""

import errno
import os
import shlex
import subprocess
import sys
from contextlib import suppress
from pathlib import Path

import pytest

from cellprep import Recipe
from cellprep.commands.build_targets import content
from cellprep.core.label_images import as_label_image
from cellprep.errors import CellprepError
from cellprep.formats.annotations import record
from cellprep.learn.networks import NetworkSettings
from cellprep.store.image_ids import id_problem
from cellprep.system.starting import described

TEXT = (Path(__file__).parent.parent / "docs" / "limits.md").read_text(encoding="utf-8")


def bins(count):
    return {"bins": tuple(range(1, count + 1))}


LIMITS = {
    "an odd number from 1 (no walls) to 99": (lambda width: Recipe(wall_width=width), [1, 99], [0, 2, 101]),
    "1 to 255, ascending": (lambda count: Recipe(**bins(count)), [1, 255], [0, 256]),
    "at most 200 bytes": (lambda length: _refuse(id_problem("x" * length)), [1, 200], [0, 201]),
    "to 16,777,216 in arrays": (lambda label: as_label_image([[0, label]]), [0, 16_777_216], [-1, 16_777_217]),
    "1 to 1024 base channels": (lambda count: NetworkSettings("dn", base_channels=count), [1, 1024], [0, 1025]),
    "1 to 64 of images": (lambda count: NetworkSettings("dn", image_channels=count), [1, 64], [0, 65]),
}


def test_memory_a_pixel_is_as_documented():
    recipe = Recipe()
    to_build = content._BYTES_BESIDE + sum(target.bytes_a_pixel(recipe) for target in recipe.stored.values())
    assert f"{record._LEAST_BYTES} bytes per pixel, {to_build} to build it" in TEXT
    assert f"at most {record._LARGEST:,} pixels" in TEXT
    assert f"times its pixels, or {record._MOST_BOXES:,}" in TEXT


def _refuse(problem):
    if problem:
        raise CellprepError(problem)


@pytest.mark.parametrize("words", LIMITS)
def test_limits_are_as_documented(words):
    assert words in TEXT
    make, possible, refused = LIMITS[words]
    for value in possible:
        make(value)
    for value in refused:
        with pytest.raises(CellprepError):
            make(value)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="the system has no full device")
@pytest.mark.parametrize(
    ("words", "limit", "message"),
    [
        (["--help"], "exec >/dev/full", "error: No space left on device: free some space where the command writes"),
        (["build-targets", "a.csv", "--jobs", "2", "--quiet"], "ulimit -n 16", "Too many open files: raise the limit"),
        (["--help"], "ulimit -v 500000", "error: Cannot allocate memory: raise the limit"),
    ],
)
def test_what_the_machine_refuses_is_one_line(tmp_path, words, limit, message):
    (tmp_path / "a.csv").write_text("id,annotation,width,height\na,1 5,9,9\n")
    command = shlex.join([sys.executable, "-m", "cellprep", *words])
    result = subprocess.run(
        ["bash", "-c", f"{limit}; exec {command}"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert result.returncode == 1
    assert len(result.stderr.splitlines()) == 1
    assert message in result.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no umask, and no shell that closes files")
def test_a_closed_standard_output_is_an_error_and_a_umask_hides_nothing_from_its_owner(tmp_path):
    (tmp_path / "a.csv").write_text("id,annotation,width,height\na,1 5,9,9\n")
    command = shlex.join([sys.executable, "-m", "cellprep", "check", "a.csv", "--out", "b.csv", "--jobs", "1"])
    closed = ["bash", "-c", f"umask 777; exec {command} >&-"]
    result = subprocess.run(closed, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (
        1,
        "a.csv: kaggle-csv, pixels counted by row, images: 1\nwrites b.csv\n"
        "error: standard output is closed: redirect it to a file or to /dev/null\n",
    )
    assert (tmp_path / "b.csv").stat().st_mode & 0o777 == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="pipes of Windows are waited for")
def test_an_output_that_is_not_waited_for_is_told_from_a_lack_of_processes(command):
    read, write = os.pipe()
    os.set_blocking(write, False)
    with suppress(BlockingIOError):
        while True:
            os.write(write, bytes(4096))
    buffered = {key: value for key, value in os.environ.items() if key != "PYTHONUNBUFFERED"}
    result = command("--help", capture_output=False, stdout=write, stderr=subprocess.PIPE, env=buffered)
    os.close(read)
    os.close(write)
    assert (result.returncode, result.stderr) == (
        1,
        "error: standard output is full and non-blocking (O_NONBLOCK): redirect it to a file, or to `| cat`\n",
    )


def test_a_fault_is_not_taken_for_what_was_handled_when_it_came():
    code = """
def fail():
    try:
        raise PermissionError(errno.EACCES, "Permission denied", "/a/b")
    except PermissionError:
        {}["shape"]
"""
    ours = {"__name__": "cellprep.somewhere", "errno": errno}
    exec(code, ours)
    with pytest.raises(KeyError) as caught:
        ours["fail"]()
    assert described(caught.value).startswith("unexpected KeyError: 'shape'; please report it")
    assert "Permission" not in described(caught.value)


def test_a_library_that_trips_over_what_it_handles_is_told_by_that():
    code = """
def fail():
    try:
        raise OSError(errno.EMFILE, "Too many open files")
    finally:
        del nothing
"""
    others = {"__name__": "joblib.somewhere", "errno": errno}
    exec(code, others)
    with pytest.raises(NameError) as caught:
        others["fail"]()
    assert described(caught.value).startswith("Too many open files: raise the limit on open files")
