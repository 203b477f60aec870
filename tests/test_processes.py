"""Several processes that train one network, as torchrun starts them."""

import csv
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch
import train_steps
from test_train import discs  # noqa: F401 - a fixture

from cellprep.errors import UsageError
from cellprep.learn.data.drawing import crop_batches

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="torchrun and gloo are tried on Linux"),
]


def arguments(network, store, out, *options):
    return ("train", network, "--data", store, "--out", out, "--base-channels", 2, "--crop", 32, "--workers", 0,
            "--device", "cpu", "--precision", "float32", "--val-fraction", 0.4, *options)  # fmt: skip


def train_here(cli, *args):
    """Train in this process."""
    result = cli(*arguments(*args))
    assert result.exit_code == 0, result.output
    return result


def figures(run):
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    return [{name: float(value) for name, value in row.items() if name != "seconds"} for row in rows]


def run_two(module, *args):
    """Run a module in two processes."""
    launcher = ["torch.distributed.run", "--standalone", "--nproc-per-node", 2, "-m"]
    result = subprocess.run(
        [sys.executable, "-m", *map(str, (*launcher, module, *args))],
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
        cwd=Path(__file__).parent,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert result.returncode == 0, result.stderr[-2000:]
    return result


def test_steps_of_two_processes_are_those_of_one(tmp_path):
    """Of each network: losses, weights, and what batch normalisation remembers. Shares are of 3 and 2 samples."""
    train_steps.main(tmp_path / "1")
    run_two("train_steps", tmp_path / "2")
    one, two = (torch.load(tmp_path / processes) for processes in ("1", "2"))
    for name, (losses, weights) in one.items():
        assert two[name][0] == pytest.approx(losses, rel=1e-9), name
        for key, value in weights.items():
            torch.testing.assert_close(two[name][1][key], value, rtol=1e-7, atol=1e-9, msg=f"{name} {key}")


def test_two_processes_learn_as_one_does(discs, tmp_path, cli):  # noqa: F811
    options = ("--epochs", 2, "--batch-size", 4)  # batches of 4 and 3
    train_here(cli, "semseg", discs.path, tmp_path / "1", *options)
    result = run_two("cellprep", *arguments("semseg", discs.path, tmp_path / "2", *options))
    assert result.stderr.count("2 epochs on 3 images, validated on 2 others, on cpu, float32, 2 processes") == 1
    one, two = figures(tmp_path / "1"), figures(tmp_path / "2")
    for alone, together in zip(one, two, strict=True):
        assert together == pytest.approx(alone, rel=1e-4, abs=1e-4)


def test_two_processes_go_on_where_one_stopped(discs, tmp_path, cli):  # noqa: F811
    """With dropout, whose chances differ: the run is no other for it."""
    options = ("wtn", discs.path, tmp_path / "run", "--batch-size", 4, "--epochs", 2)
    train_here(cli, *options)
    again = run_two("cellprep", *arguments(*options, "--resume"))
    assert len(figures(tmp_path / "run")) == 2
    assert again.stderr.count("best: epoch") == 1


def test_a_batch_that_cannot_be_shared_is_told():
    assert [len(batch) for batch in crop_batches(7, 5, rank=1, processes=2)] == [2, 1]
    with pytest.raises(UsageError, match="the last batch of an epoch has 1 samples, too few for 2 processes: give"):
        crop_batches(7, 6, rank=0, processes=2)
