"""A real Dask cluster, with a scheduler and workers in separate processes."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import tree

from cellprep import BuildOptions, Recipe, build_targets, check_source, open_source, open_store
from cellprep.commands.check import CheckOptions
from cellprep.commands.demo import write_dataset
from cellprep.errors import ClusterError, MissingExtraError
from cellprep.system.cluster import run_on_cluster

pytest.importorskip("distributed")
if sys.platform == "win32":
    pytest.skip("workers are killed by signals", allow_module_level=True)

pytestmark = pytest.mark.slow


def start(*args):
    return subprocess.Popen(
        [sys.executable, "-m", *map(str, args)],
        stderr=subprocess.DEVNULL,
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path])},
    )


def wait_for(condition, seconds=60):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.05)


class Cluster:
    def __init__(self, folder):
        self.file = folder / "scheduler.json"
        self.scheduler = start(
            "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", 0, "--no-dashboard", "--no-show",
            "--scheduler-file", self.file,
        )  # fmt: skip
        wait_for(lambda: self.file.exists() and self.file.stat().st_size)
        self.address = json.loads(self.file.read_text())["address"]
        self.folder = folder
        self.workers = []

    def add_worker(self):
        self.workers.append(
            start(
                "distributed.cli.dask_worker", self.address, "--nthreads", 1, "--nworkers", 1, "--no-dashboard",
                "--local-directory", self.folder,
            )
        )  # fmt: skip

    def stop(self):
        for process in (self.scheduler, *self.workers):
            try:
                os.killpg(process.pid, signal.SIGKILL)
            except ProcessLookupError:
                continue
            process.wait()


@pytest.fixture(scope="module")
def cluster(tmp_path_factory):
    made = Cluster(tmp_path_factory.mktemp("dask"))
    made.add_worker()
    made.add_worker()
    yield made.address
    made.stop()


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    return write_dataset(tmp_path_factory.mktemp("source"), images_per_type=5, shape=(60, 80))


def build(csv, out, **options):
    return build_targets(open_source(csv), out, BuildOptions(images=csv.parent / "train", quiet=True, **options))


@pytest.fixture(scope="module")
def local(csv, tmp_path_factory):
    out = tmp_path_factory.mktemp("local") / "s.zarr"
    assert build(csv, out, jobs=1).failures == {}
    return tree(out)


def test_a_cluster_builds_the_same_bytes(cluster, csv, local, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # workers are elsewhere, so that relative paths would lead them astray
    report = build(csv, "s.zarr", scheduler=cluster)
    assert (report.failures, report.stopped) == ({}, "")
    assert tree(tmp_path / "s.zarr") == local
    assert build(csv, "s.zarr", scheduler=cluster).current == len(open_store("s.zarr"))
    options = BuildOptions(recipe=Recipe(wall_width=5), quiet=True, scheduler=cluster)
    assert build_targets(open_source("s.zarr"), "again.zarr", options).failures == {}


def test_a_cluster_finds_the_same_flaws(cluster, csv):
    found = [check_source(open_source(csv), CheckOptions(jobs=1, scheduler=at)) for at in (None, cluster)]
    assert found[0].findings == found[1].findings


def slow_square(number):
    time.sleep(0.02)
    return number**2


def square_unless_deadly(number):
    """Bring down every worker that tries one of the numbers."""
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def test_tasks_of_a_killed_worker_go_to_others(cluster):
    def tasks():
        for number in range(60):
            if number == 40:
                kill_one(cluster)
            yield number

    assert dict(run_on_cluster(slow_square, tasks(), cluster)) == {k: k**2 for k in range(60)}


def kill_one(address):
    from distributed import Client

    with Client(address, set_as_default=False) as client:
        pids = client.run(os.getpid)
    os.kill(next(iter(pids.values())), signal.SIGKILL)  # its nanny starts another


def test_a_task_that_kills_every_worker_is_given_up(cluster):
    assert dict(run_on_cluster(square_unless_deadly, range(9), cluster)) == {
        k: None if k == 3 else k**2 for k in range(9)
    }


def test_what_is_no_scheduler_ends_the_run_in_one_line(csv, tmp_path, monkeypatch):
    monkeypatch.setattr("cellprep.system.cluster._SECONDS_TO_CONNECT", 1)
    report = build(csv, tmp_path / "s.zarr", scheduler="tcp://127.0.0.1:9")
    (line,) = report.errors()
    assert line.startswith("error: no Dask scheduler answers at tcp://127.0.0.1:9: Timed out")
    with pytest.raises(ClusterError, match="no Dask scheduler answers at nonsense"):
        check_source(open_source(csv), CheckOptions(scheduler="nonsense://"))


def test_a_scheduler_that_is_lost_ends_the_run_in_one_line(tmp_path):
    folder = tmp_path / "dask"
    folder.mkdir()
    made = Cluster(folder)
    made.add_worker()

    def tasks():
        for number in range(100):
            if number == 20:
                made.stop()
            yield number

    try:
        with pytest.raises(ClusterError, match=r"lost|no Dask scheduler"):
            list(run_on_cluster(slow_square, tasks(), made.address))
    finally:
        made.stop()


def test_without_dask(csv, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "distributed", None)
    with pytest.raises(MissingExtraError, match=r"--scheduler needs Dask: pip install 'cellprep\[dask\]'"):
        list(run_on_cluster(slow_square, range(3), "tcp://127.0.0.1:9"))


def test_another_version_on_a_worker(cluster, monkeypatch):
    monkeypatch.setattr("cellprep.system.cluster.__version__", "9.9")
    with pytest.raises(ClusterError, match=r"a worker has cellprep .*, not 9\.9: install one version everywhere"):
        list(run_on_cluster(slow_square, range(3), cluster))
