"""The state of a store after its writer is killed, interrupted, out of space or without permission."""

import os
import shutil
import signal
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
from conftest import HEADER, THOROUGH, tree

from cellprep import BuildOptions, Recipe, build_targets, open_source, open_store
from cellprep.errors import StoreError
from cellprep.store import StoreWriter, Summary
from cellprep.store.arrays import array_path
from cellprep.store.image import read_attributes

IMAGES = 120
SHAPE = (180, 240)


@pytest.fixture(scope="module")
def csv(tmp_path_factory):
    """A source that takes a second or so to build."""
    rng = np.random.default_rng(0)
    lines = [HEADER]
    for k in range(IMAGES):
        for _ in range(8):
            top, left = rng.integers(0, 140), rng.integers(0, 180)
            starts = SHAPE[1] * (top + np.arange(40)) + left + 1
            lines.append(f"{k:03},{' '.join(f'{start} 50' for start in starts)},{SHAPE[1]},{SHAPE[0]},x")
    path = tmp_path_factory.mktemp("source") / "train.csv"
    path.write_text("\n".join(lines) + "\n")
    return path


def start(csv, out, *options):
    args = [sys.executable, "-m", "cellprep", "build-targets", csv, "--out", out, "--jobs", "2", *options]
    return subprocess.Popen(args, stderr=subprocess.PIPE, text=True, start_new_session=True)


def finish(csv, out, *options):
    process = start(csv, out, *options)
    _, words = process.communicate(timeout=120)
    return process.returncode, words


def go_on(csv, out, wall_width=3):
    """Build all that is not there, in this process and undisturbed."""
    options = BuildOptions(recipe=Recipe(wall_width=wall_width), jobs=1, quiet=True)
    report = build_targets(open_source(csv), out, options)
    assert not report.errors()
    return report


@pytest.fixture(scope="module")
def undisturbed(csv, tmp_path_factory):
    """The store's files by wall width, as an undisturbed run leaves them."""
    trees = {}
    for width in ("3", "5"):
        out = tmp_path_factory.mktemp("undisturbed") / "s.zarr"
        go_on(csv, out, int(width))
        trees[width] = tree(out)
    return trees


def images_of(files):
    """Return the files of each image: {id: {path: bytes}}, without those in the dot-folder."""
    images = {}
    for path, content in files.items():
        image_id, _, rest = path.partition("/")
        if rest and not image_id.startswith("."):
            images.setdefault(image_id, {})[rest] = content
    return images


def check_whole(out, undisturbed):
    """Every image that is there equals one of the undisturbed versions, file by file."""
    versions = [images_of(files) for files in undisturbed.values()]
    for image_id, files in images_of(tree(out)).items():
        assert any(files == version[image_id] for version in versions), image_id
    check_summary(out)


def check_summary(out):
    """A summary that is there is true, whatever ended the run."""
    told = read_attributes(out).get("summary")
    if told:
        summary = Summary()
        for image in open_store(out).values():
            summary.add(image.metadata)
        assert {**told, **summary.to_dict()} == told


def children(pid):
    """Ids of the processes that a process started."""
    return [int(word) for path in Path(f"/proc/{pid}/task").glob("*/children") for word in path.read_text().split()]


def wait_until(condition, seconds=60):
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "waited in vain"
        time.sleep(0.005)


@pytest.mark.skipif(not Path("/proc/self/task").exists(), reason="needs /proc to find the workers")
@pytest.mark.parametrize("working", [False, True])
def test_workers_end_when_their_parent_is_killed(csv, tmp_path, working):
    """Those that work, and those that have only started."""
    process = start(csv, tmp_path / "s.zarr")
    wait_until(lambda: (tmp_path / "s.zarr/.cellprep").is_dir() and len(children(process.pid)) >= 3)
    wait_until(lambda: not working or list(tmp_path.glob("s.zarr/0*")))
    workers = children(process.pid)
    process.kill()
    process.communicate()
    wait_until(lambda: not any(_is_running(pid) for pid in workers), seconds=30)


def _is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups on Windows")
@pytest.mark.parametrize("delay", [0.0, 0.02, 0.05, 0.1, 0.2, None] if THOROUGH else [0.0, 0.1, None])
def test_ctrl_c_ends_quietly_and_the_next_run_goes_on(csv, tmp_path, undisturbed, delay):
    """While workers start, and when the first images are there."""
    for attempt in range(9):  # on a busy machine, a run may end before it is interrupted
        out = tmp_path / f"{attempt}.zarr"
        process = start(csv, out)
        wait_until(lambda out=out: list(out.glob("0*")) if delay is None else (out / ".cellprep").is_dir())
        time.sleep(delay or 0)
        os.killpg(process.pid, signal.SIGINT)
        _, words = process.communicate(timeout=60)
        if process.returncode != 0:
            break
    assert process.returncode == 130, words
    begun = f"train.csv: kaggle-csv, pixels counted by row, images: {IMAGES}\nwrites {out}\n"  # if it came that far
    words = words.removeprefix(begun)
    assert words == "interrupted: all files written so far are complete; run the same command again\n"
    check_whole(out, undisturbed)
    assert not (out / ".cellprep").exists()
    go_on(csv, out)
    assert tree(out) == undisturbed["3"]


def test_ctrl_c_while_an_image_is_moved_into_its_place(csv, tmp_path, undisturbed, monkeypatch):
    """Workers are at other images then, and end before their workspace is removed."""

    def interrupted(writer, image_id):
        raise KeyboardInterrupt

    out = tmp_path / "s.zarr"
    for _ in range(5):
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(StoreWriter, "commit", interrupted)
            build_targets(open_source(csv), out, BuildOptions(jobs=2, quiet=True))
        assert not (out / ".cellprep").exists()
    go_on(csv, out)
    assert tree(out) == undisturbed["3"]


@pytest.mark.skipif(sys.platform == "win32", reason="no process groups on Windows")
def test_ctrl_c_when_all_is_done_changes_nothing(csv, tmp_path):
    """While the process leaves, which takes a tenth of a second."""
    process = start(csv, tmp_path / "s.zarr")
    told = process.stderr.readline()
    while not told.startswith("next:"):  # the last line
        told = process.stderr.readline()
    time.sleep(0.02)
    os.killpg(process.pid, signal.SIGINT)
    assert process.communicate(timeout=60) == (None, "")
    assert process.returncode == 0


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others on Windows")
def test_ctrl_c_while_libraries_load_is_one_line(tmp_path):
    (tmp_path / "numpy.py").write_text("import os, signal\nos.kill(os.getpid(), signal.SIGINT)\nraise RuntimeError\n")
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    args = [sys.executable, "-m", "cellprep", "info", "a.zarr"]
    result = subprocess.run(args, env={**os.environ, **paths}, capture_output=True, text=True, check=False)
    assert result.stderr == "interrupted: all files written so far are complete; run the same command again\n"
    assert result.returncode == 130


@pytest.mark.skipif(sys.platform == "win32", reason="signals are others on Windows")
def test_ctrl_c_while_code_is_made_from_text_has_its_exit_code_too(csv, tmp_path):
    """As when a module with dataclasses is imported: Python would die by the signal, though it was caught."""
    (tmp_path / "distributed.py").write_text(  # what the command loads when it has begun
        "exec('import os, signal, time; os.kill(os.getpid(), signal.SIGINT); time.sleep(9)')\n"
    )
    paths = {"PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])}
    args = [sys.executable, "-m", "cellprep", "check", csv, "--scheduler", "tcp://127.0.0.1:9", "--quiet"]
    result = subprocess.run(args, env={**os.environ, **paths}, capture_output=True, text=True, check=False)
    assert result.stderr == "interrupted: all files written so far are complete; run the same command again\n"
    assert result.returncode == 130


@contextmanager
def small_disk(folder, size):
    """A file system of its own, if this user may mount one."""
    folder.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", str(folder)]
    if shutil.which("mount") is None or subprocess.run(command, capture_output=True, check=False).returncode:
        pytest.skip("this user may not mount a small file system")
    try:
        yield lambda options: subprocess.run(["mount", "-o", f"remount,{options}", folder], check=True)
    finally:
        subprocess.run(["umount", "-l", folder], check=True)


def test_a_full_disk_is_told_in_one_line_and_the_next_run_goes_on(csv, tmp_path, undisturbed):
    with small_disk(tmp_path / "disk", "1m") as remount:
        out = tmp_path / "disk" / "s.zarr"
        code, words = finish(csv, out)
        assert code == 1
        assert "No space left on device" in words
        assert f"error: cannot write to {out}: No space left on device; " in words
        assert "not tried. The images in the store are complete; run the same command to continue" in words
        assert "Traceback" not in words
        check_whole(out, undisturbed)
        assert not (out / ".cellprep").exists()
        remount("size=100m")
        go_on(csv, out)
        assert tree(out) == undisturbed["3"]


def test_a_full_disk_on_a_rebuild_keeps_only_whole_images(csv, tmp_path, undisturbed):
    with small_disk(tmp_path / "disk", "100m") as remount:
        out = tmp_path / "disk" / "s.zarr"
        go_on(csv, out)
        used = int(subprocess.check_output(["du", "-sk", tmp_path / "disk"]).split()[0])
        remount(f"size={used + 8}k")
        code, words = finish(csv, out, "--wall-width", "5")
        assert (code, "Traceback" in words) == (1, False)
        check_whole(out, undisturbed)
        remount("size=100m")
        go_on(csv, out, 5)
        assert tree(out) == undisturbed["5"]


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere memory is not limited this way")
def test_an_image_too_large_for_the_memory_fails_alone(csv, tmp_path, undisturbed):
    import resource

    source, side = tmp_path / "train.csv", 4_096
    source.write_text(csv.read_text() + f"huge,1 5,{side},{side},x\n")
    limit = int(0.75 * 2**30)  # where the small ones fit several times, and the huge one seems to
    args = [sys.executable, "-m", "cellprep", "build-targets", source, "--out", tmp_path / "s.zarr", "--jobs", "2"]
    result = subprocess.run(
        args,
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_AS, (limit, limit)),
    )
    assert result.returncode == 1
    assert result.stderr.splitlines()[-2:] == [
        f"error: 1 of {IMAGES + 1} images failed:",
        "  huge: there is not enough memory for it",
    ]
    assert images_of(tree(tmp_path / "s.zarr")) == images_of(undisturbed["3"])


@pytest.mark.parametrize("exists", [False, True])
def test_a_read_only_folder(csv, tmp_path, exists):
    folder = tmp_path / "disk"
    with small_disk(folder, "100m") as remount:
        if exists:
            go_on(csv, folder / "s.zarr")
        before = tree(folder)
        remount("ro")
        code, words = finish(csv, folder / "s.zarr", "--overwrite")
        assert code == 1
        assert words == f"error: cannot write to {folder / 's.zarr'}: Read-only file system\n"
        assert tree(folder) == before


def as_ordinary_user():
    """Return the prefix for a command that makes permissions apply to the superuser, too."""
    if os.name == "nt":
        pytest.skip("permissions work otherwise on Windows")
    if os.geteuid() != 0:
        return []
    prefix = ["setpriv", "--bounding-set=-dac_override,-dac_read_search"]
    if shutil.which("setpriv") is None or subprocess.run([*prefix, "true"], check=False).returncode:
        pytest.skip("the superuser may write everywhere, and cannot give that up here")
    return prefix


# Where something must not be read or written, how, and the one line that is said of it.
FORBIDDEN = {
    "the folder of the store": ("build-targets {csv} --out {locked}/s.zarr", 0o555, "cannot write to {locked}/s.zarr"),
    "the source": ("build-targets {locked}/train.csv", 0o000, "cannot read the annotation source {locked}/train.csv"),
    "the demo's folder": ("demo --out {locked}/demo", 0o555, "cannot write the data set to {locked}/demo"),
}


@pytest.mark.parametrize(("line", "mode", "message"), FORBIDDEN.values(), ids=FORBIDDEN.keys())
def test_without_permission(csv, tmp_path, command, line, mode, message):
    locked = tmp_path / "locked"
    locked.mkdir(mode=mode)
    names = {"csv": csv, "locked": locked}
    result = command(*(part.format(**names) for part in line.split()), prefix=as_ordinary_user())
    assert result.returncode == 1
    assert result.stderr == f"error: {message.format(**names)}: Permission denied\n"


@pytest.mark.skipif(sys.platform == "win32", reason="no process can be stopped on Windows")
def test_two_runs_at_once(csv, tmp_path, undisturbed):
    out = tmp_path / "s.zarr"
    first = start(csv, out)
    wait_until((out / ".cellprep" / "lock").exists)
    time.sleep(0.05)  # from the lock's file to its being held
    os.kill(first.pid, signal.SIGSTOP)
    code, words = finish(csv, out)
    os.kill(first.pid, signal.SIGCONT)
    first.communicate(timeout=60)
    assert code == 1
    assert words == f"error: another run is writing to {out}: wait until it ends\n"
    assert first.returncode == 0
    assert tree(out) == undisturbed["3"]


def lose(path, how):
    """Leave a file as a power loss may: its content, the end of it, or the file itself was not yet on the disk."""
    if how == "missing":
        path.unlink()
    else:
        os.truncate(path, 0 if how == "empty" else path.stat().st_size // 2)


def test_what_a_power_loss_takes_is_not_read_and_is_built_again(csv, tmp_path, undisturbed):
    out = tmp_path / "s.zarr"
    go_on(csv, out)
    files = sorted(path.relative_to(out / "000") for path in (out / "000").rglob("*") if path.is_file())
    hit = dict(zip(list(open_store(out)), files, strict=False))
    assert len(hit) == len(files) > 15  # each kind of file in an image of its own
    for how in ("empty", "short", "missing"):
        for image_id, file in hit.items():
            lose(out / image_id / file, how)
        store = open_store(out)
        for image_id, file in hit.items():
            image = store.get(image_id)
            for name in image.arrays if image else ():
                if file.is_relative_to(array_path(name)):
                    with pytest.raises(StoreError):
                        image.read(name)
        report = go_on(csv, out)
        assert (report.new + report.rewritten, report.current) == (len(hit), IMAGES - len(hit))
        assert tree(out) == undisturbed["3"]


def test_leftovers_of_killed_runs_are_cleared(csv, tmp_path):
    out = tmp_path / "s.zarr"
    (out / ".cellprep" / "abc" / "new" / "000").mkdir(parents=True)
    (out / ".cellprep" / "lock").touch()
    assert build_targets(open_source(csv), out, BuildOptions(only=("000",), jobs=1, quiet=True)).new == 1
    assert sorted(entry.name for entry in out.iterdir()) == ["000", "zarr.json"]
    assert list(open_store(out)) == ["000"]
