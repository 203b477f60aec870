import errno
import os
from pathlib import Path

import pytest

from cellprep.errors import OutputError
from cellprep.system import flushing
from cellprep.system.aside import FILES, publish
from cellprep.system.output import write_whole


@pytest.fixture
def events(monkeypatch):
    """Return the names of flushed and renamed files and folders, in order."""
    seen = []
    fsync, replace, rename = os.fsync, Path.replace, Path.rename

    def name(descriptor):
        return Path(f"/proc/self/fd/{descriptor}").readlink().name

    monkeypatch.setattr(os, "fsync", lambda number: (seen.append(("flush", name(number))), fsync(number))[1])
    monkeypatch.setattr(Path, "replace", lambda path, to: (seen.append(("rename", to.name)), replace(path, to))[1])
    monkeypatch.setattr(Path, "rename", lambda path, to: (seen.append(("rename", to.name)), rename(path, to))[1])
    return seen


pytestmark = pytest.mark.skipif(not Path("/proc/self/fd").exists(), reason="needs /proc to name what is flushed")


def test_a_file_is_on_the_disk_before_it_has_its_name(tmp_path, events):
    write_whole(tmp_path / "bins.json", "[]")
    (what, aside), *then = events
    assert (what, aside.startswith(".bins.json.")) == ("flush", True)
    assert then == [("rename", "bins.json"), ("flush", tmp_path.name)]


@pytest.mark.parametrize("platform", ["linux", "darwin"])
def test_a_folder_is_on_the_disk_before_it_has_its_name(tmp_path, events, monkeypatch, platform):
    monkeypatch.setattr(flushing.sys, "platform", platform)
    (tmp_path / "aside/deep").mkdir(parents=True)
    (tmp_path / "aside/deep/a").write_text("x")
    publish(tmp_path / "aside", tmp_path / "out")
    files = [] if platform == "linux" else [("flush", name) for name in ("a", "deep", FILES, "aside")]
    assert events == [*files, ("rename", "out"), ("flush", tmp_path.name)]


def test_a_disk_that_takes_nothing_more_is_told_of(tmp_path, monkeypatch):
    (tmp_path / "bins.json").write_text("old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.EIO, "Input/output error")))
    with pytest.raises(OutputError, match=r"bins\.json: Input/output error$"):
        write_whole(tmp_path / "bins.json", "new")
    assert [path.name for path in tmp_path.iterdir()] == ["bins.json"]
    assert (tmp_path / "bins.json").read_text() == "old"
