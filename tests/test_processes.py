"""Several processes that train one network, as torchrun starts them."""

import csv
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import train_steps
from test_train import discs  # noqa: F401 - a fixture

from cellprep.cli import app
from cellprep.errors import UsageError
from cellprep.learn.data.drawing import crop_batches

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="torchrun and gloo are tried on Linux"),
]


def training(network, store, out, *options):
    """The words of a command."""
    words = ("train", network, "--data", store.path, "--out", out, "--base-channels", 2, "--crop", 32, "--workers", 0,
             "--device", "cpu", "--precision", "float32", "--val-fraction", 0.4, "--epochs", 2, "--batch-size", 4,
             *options)  # fmt: skip
    return [str(word) for word in words]  # batches of 4 and 3


def figures(run):
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items() if name != "seconds"} for row in rows]


@pytest.fixture(scope="module")
def two(discs, tmp_path_factory):  # noqa: F811
    """Return the results of two processes for all comparisons: they start only once, which takes longest."""
    folder = tmp_path_factory.mktemp("two")
    begun = training("wtn", discs, folder / "begun")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.learn.training.run._is_stale", lambda rows, patience: len(rows) == 1)
        assert not app(begun, standalone_mode=False)
    assert len(figures(folder / "begun")) == 1
    commands = json.dumps([training("semseg", discs, folder / "run"), [*begun, "--resume"]])
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m"]
    result = subprocess.run(
        [sys.executable, "-m", *launcher, "train_steps", folder / "steps", commands],
        capture_output=True,
        text=True,
        check=False,
        timeout=300,
        cwd=Path(__file__).parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return folder, result.stderr


def test_steps_of_two_processes_are_those_of_one(two, tmp_path):
    """Of each network: losses, weights, and what batch normalisation remembers. Shares are of 3 and 2 samples."""
    train_steps.main(tmp_path / "steps")
    one, both = (torch.load(folder / "steps") for folder in (tmp_path, two[0]))
    for name, (losses, weights) in one.items():
        assert both[name][0] == pytest.approx(losses, rel=1e-9), name
        for key, value in weights.items():
            torch.testing.assert_close(both[name][1][key], value, rtol=1e-7, atol=1e-9, msg=f"{name} {key}")


def test_two_processes_learn_as_one_does(two, discs, tmp_path):  # noqa: F811
    assert not app(training("semseg", discs, tmp_path / "1"), standalone_mode=False)
    folder, told = two
    assert told.count("2 epochs on 3 images, validated on 2 others, on cpu, float32, 2 processes") == 2  # trainings
    for alone, together in zip(figures(tmp_path / "1"), figures(folder / "run"), strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-4)


def test_two_processes_go_on_where_one_stopped(two):
    """With dropout, whose random numbers differ; the run is otherwise the same."""
    folder, told = two
    assert len(figures(folder / "begun")) == 2
    assert told.count("best: epoch") == 2


def test_a_batch_that_cannot_be_shared_is_told():
    assert [len(batch) for batch in crop_batches(7, 5, rank=1, processes=2)] == [2, 1]
    message = "the last batch of an epoch has too few samples, 1, for 2 processes: change the --batch-size"
    with pytest.raises(UsageError, match=message):
        crop_batches(7, 6, rank=0, processes=2)
