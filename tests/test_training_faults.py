"""The state of a run after it is killed, with a full disk, and with two trainings in one folder."""

import itertools
import random
import shutil

import pytest
import torch
from test_kills import KILLS, do, kill_after, popen, pytestmark, seconds
from test_safety import small_disk
from test_train import write_discs

from cellprep import BuildOptions, build_targets, open_source
from cellprep.cli.existing import RUN, replaced
from cellprep.errors import UsageError
from cellprep.learn import load_weights
from cellprep.system.locks import held

__all__ = ["pytestmark"]

SIZE = ["--base-channels", 2, "--crop", 32, "--batch-size", 2, "--workers", 0, "--quiet"]


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    """Return the options of a training of about a second, without its folder."""
    folder = tmp_path_factory.mktemp("discs")
    build_targets(open_source(write_discs(folder / "source")), folder / "data.zarr", BuildOptions(jobs=1, quiet=True))
    return ["train", "semseg", "--data", folder / "data.zarr", *SIZE, "--epochs", 4, "--out"]


@pytest.fixture(scope="module")
def undisturbed(words, tmp_path_factory):
    """Return its duration and its weights."""
    run = tmp_path_factory.mktemp("undisturbed") / "run"
    duration = seconds(do, *words, run)
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
        lock = run.with_name(f".{run.name}.lock")
        lock.unlink(missing_ok=True)  # which is written first
        if kill_after(popen(*words, run, *taken_up(run)), lock.exists, rng.uniform(0, 1) * duration):
            killed += 1
            whole_weights(run)
        else:  # it was quicker than the one that was timed
            assert whole_weights(run) == expected
            run, duration = tmp_path / str(attempt), 0.8 * duration
    do(*words, run, *taken_up(run))
    assert whole_weights(run) == expected


def test_a_full_disk_keeps_the_last_checkpoint(words, undisturbed, tmp_path, cli):
    _, expected = undisturbed
    with small_disk(tmp_path / "disk", "1100k") as remount:
        run = tmp_path / "disk/run"
        result = cli(*words, run)
        assert result.exit_code == 1
        assert result.stderr.startswith(f"error: cannot write {run}/")
        assert result.stderr.endswith(": No space left on device\n")
        assert len(whole_weights(run)) == 2  # of an epoch before
        remount("size=100m")
        do(*words, run, "--resume")
        assert whole_weights(run) == expected


def test_two_processes_do_not_train_in_one_folder(words, tmp_path, cli):
    run = tmp_path / "run"
    with held(run):
        result = cli(*words, run)
    assert result.exit_code == 2
    assert result.stderr == f"error: another process is training in {run}: wait until it ends\n"
    assert not list(tmp_path.iterdir())
    with held(run):
        result = cli("train", "all", *words[2:], run)
    assert result.stderr == f"error: another process is training in {run}: wait until it ends\n"
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["run", "run.json"]
    (run / "run.json").write_text("{}")
    (tmp_path / "link").symlink_to(run)
    for place in (run, run / "fold-0" / "dn", tmp_path / "link"):
        with held(place), pytest.raises(UsageError, match="another process is training in"):
            replaced([run], [], RUN).__enter__()
    shutil.rmtree(run / "fold-0")
    assert [*run.iterdir()] == [run / "run.json"]
