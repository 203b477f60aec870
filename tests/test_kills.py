"""Commands killed at random moments by SIGKILL, which cannot be handled.

``CELLPREP_TEST_KILLS=100 python -m pytest tests/test_kills.py`` kills a hundred times each; the suite only a few times.
"""

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from conftest import tree
from test_safety import IMAGES, check_whole, children, csv, go_on, start, undisturbed, wait_until
from test_train import write_discs

from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.cli import app

__all__ = ["csv", "undisturbed"]  # fixtures

KILLS = int(os.environ.get("CELLPREP_TEST_KILLS", "0"))

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs kill -9, and /proc to find workers"),
]


def popen(*words):
    args = [sys.executable, "-m", "cellprep", *map(str, words)]
    return subprocess.Popen(args, stderr=subprocess.PIPE, text=True, start_new_session=True)


def seconds(function, *args):
    """Return the seconds that a call takes."""
    began = time.monotonic()
    function(*args)
    return time.monotonic() - began


def do(*words):
    """Run a command in this process."""
    assert not app([str(word) for word in words], standalone_mode=False)


def kill_after(process, begun, delay):
    """Kill a process so long after it has begun to write, unless it ends before; say whether it was killed."""
    wait_until(lambda: begun() or process.poll() is not None)
    try:
        process.communicate(timeout=delay)
    except subprocess.TimeoutExpired:
        process.kill()
        process.communicate()
        return True
    assert process.returncode == 0
    return False


def test_a_build_is_killed(csv, tmp_path, undisturbed):
    """Runs of alternating recipes are killed while they start, build and replace images."""
    out = tmp_path / "s.zarr"
    duration = seconds(go_on, csv, tmp_path / "timed.zarr")
    rng = random.Random(0)
    killed = k = 0
    while killed < (KILLS or 3):
        process = start(csv, out, "--wall-width", "35"[k % 2])
        if kill_after(process, (out / ".cellprep").is_dir, rng.uniform(0, 1) * duration):
            killed += 1
        else:  # it was quicker than the one that was timed
            duration *= 0.8
        k += 1
        if out.exists():
            check_whole(out, undisturbed)
    go_on(csv, out)
    assert tree(out) == undisturbed["3"]
    assert not (out / ".cellprep").exists()


def workers(pid):
    """Ids of the processes in which images are built."""
    return [child for child in children(pid) if b"popen_loky" in Path(f"/proc/{child}/cmdline").read_bytes()]


def test_workers_of_a_build_are_killed(csv, tmp_path, undisturbed):
    """A run that loses a worker ends by itself, and misses at most the image that was in its hands."""
    rng = random.Random(0)
    killed = 0
    while killed < (KILLS or 2):
        out = tmp_path / f"{killed}.zarr"
        process = start(csv, out, "--overwrite")
        wait_until(lambda process=process, out=out: workers(process.pid) and (out / ".cellprep").is_dir())
        time.sleep(rng.uniform(0, 0.5))
        try:
            os.kill(rng.choice(workers(process.pid)), signal.SIGKILL)
        except (IndexError, OSError):  # it has ended
            process.communicate()
            continue
        killed += 1
        _, words = process.communicate(timeout=120)
        missing = IMAGES - len(open_store(out))
        assert process.returncode == (1 if missing else 0), words
        assert "Traceback" not in words
        if missing:
            assert f"{missing} of {IMAGES} images failed" in words
            assert words.count("was killed, probably because memory ran out") == missing
        check_whole(out, undisturbed)
        go_on(csv, out)
        assert tree(out) == undisturbed["3"]


@pytest.fixture(scope="module")
def discs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("discs")
    build_targets(open_source(write_discs(folder / "source")), folder / "data.zarr", BuildOptions(jobs=1, quiet=True))
    return folder


def test_predictions_and_exports_are_killed(discs, tmp_path):
    """Their outputs are absent or complete."""
    rng = random.Random(0)
    for words in (
        ["predict", discs / "source/images", "--to", "label-tiff", "--to", "coco", "--out"],
        ["export", discs / "data.zarr", "--to", "label-tiff", "--out"],
    ):
        duration = seconds(do, *words, tmp_path / words[0])
        expected = tree(tmp_path / words[0])
        out = tmp_path / f"{words[0]}-killed"
        killed = 0
        while killed < (KILLS or 1):
            before = set(tmp_path.iterdir())
            begun = lambda before=before: set(tmp_path.iterdir()) - before  # noqa: E731
            if kill_after(popen(*words, out), begun, rng.uniform(0, 1) * duration):
                killed += 1
            else:  # it was quicker than the one that was timed
                duration *= 0.8
            if out.exists():
                assert tree(out) == expected
                for path in sorted(out.rglob("*"), reverse=True):
                    path.rmdir() if path.is_dir() else path.unlink()
                out.rmdir()
        do(*words, out)
        assert tree(out) == expected
