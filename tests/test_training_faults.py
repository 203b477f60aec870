"""What a training leaves when it is killed, when the disk is full, and when there are two of it."""

import itertools
import random

import pytest
import torch
from test_kills import KILLS, kill_after, popen, pytestmark, seconds
from test_safety import small_disk
from test_train import write_discs

from cellprep import BuildOptions, build_targets, open_source
from cellprep.learn import load_weights
from cellprep.learn.training.folder import RunFolder

__all__ = ["pytestmark"]

SIZE = ["--base-channels", 2, "--crop", 32, "--batch-size", 2, "--workers", 0, "--quiet"]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """A training of some seconds, but for its folder."""
    folder = tmp_path_factory.mktemp("discs")
    build_targets(open_source(write_discs(folder / "source")), folder / "data.zarr", BuildOptions(jobs=1, quiet=True))
    return ["train", "semseg", "--data", folder / "data.zarr", *SIZE, "--epochs", 6, "--out"]


@pytest.fixture(scope="module")
def undisturbed(words, tmp_path_factory):
    """How long it takes, and the weights that it leaves."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    duration = seconds(*words, run)
    return duration, whole_weights(run)


def whole_weights(run):
    """The weights that a run has; none of them is damaged, and nor is its state."""
    found = [path for path in (run / "best.safetensors", run / "last.safetensors") if path.exists()]
    for path in found:
        load_weights(path)
    if (run / "state.pt").exists():
        torch.load(run / "state.pt", weights_only=True)
    return {path.name: path.read_bytes() for path in found}


def taken_up(run):
    return ["--resume"] if (run / "run.json").exists() else []


def test_killed_and_taken_up_until_it_is_done_it_leaves_the_same_weights(words, undisturbed, tmp_path):
    duration, expected = undisturbed
    rng = random.Random(0)
    killed, run = 0, tmp_path / "0"
    for attempt in itertools.count(1):
        if killed >= (KILLS or 1):
            break
        if kill_after(popen(*words, run, *taken_up(run)), rng.uniform(0.4, 1.0) * duration):
            killed += 1
            whole_weights(run)
        else:  # it was quicker than the one that was timed
            assert whole_weights(run) == expected
            run, duration = tmp_path / str(attempt), 0.8 * duration
    seconds(*words, run, *taken_up(run))
    assert whole_weights(run) == expected


def test_a_full_disk_keeps_the_last_checkpoint(words, undisturbed, tmp_path):
    _, expected = undisturbed
    with small_disk(tmp_path / "disk", "1100k") as remount:
        run = tmp_path / "disk/run"
        process = popen(*words, run)
        _, told = process.communicate(timeout=120)
        assert process.returncode == 1
        assert told.startswith(f"error: cannot write {run}/")
        assert told.endswith(": No space left on device\n")
        assert len(whole_weights(run)) == 2  # of an epoch before
        remount("size=100m")
        seconds(*words, run, "--resume")
        assert whole_weights(run) == expected


def test_two_processes_do_not_train_in_one_folder(words, tmp_path):
    with RunFolder(tmp_path / "run").held():
        process = popen(*words, tmp_path / "run")
        _, told = process.communicate(timeout=120)
    assert process.returncode == 2
    assert told == f"error: another process trains in {tmp_path / 'run'}: wait until it ends\n"
    assert not list(tmp_path.iterdir())
