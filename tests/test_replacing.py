"""Reading a store while a build replaces its images, over and over."""

import os
import shutil
import subprocess
import sys
from collections import Counter
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from conftest import tree
from test_train import write_discs

from cellprep import (
    BuildOptions,
    CheckOptions,
    Recipe,
    RoundtripOptions,
    build_targets,
    check_source,
    export_labels,
    fit_bins,
    open_source,
    open_store,
    roundtrip,
    verify_store,
)
from cellprep.commands.demo import write_dataset
from cellprep.commands.report import ReportOptions, report_dataset
from cellprep.errors import CellprepError, TrainingError, UsageError
from cellprep.learn.data.training_set import TrainingSet
from cellprep.store.replacing import DOT_FOLDER, OUTGOING, all_names
from cellprep.system.files import read_file

IMAGES = 5
QUIET = {"jobs": 1, "quiet": True}

BUILDER = """
import sys
from cellprep import BuildOptions, build_targets, open_source
from cellprep.store import writer
if sys.argv[3] == "moved":
    writer.exchange = lambda new, place: False
print("begins", flush=True)
while True:
    build_targets(open_source(sys.argv[1]), sys.argv[2], BuildOptions(rebuild=True, jobs=1, quiet=True))
"""


@contextmanager
def built_over_and_over(source, out, how):
    process = subprocess.Popen([sys.executable, "-c", BUILDER, source, out, how], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout.readline() == "begins\n"
        yield
        assert process.poll() is None
    finally:
        process.kill()
        process.communicate()


def read_all(out, folder):
    for image in open_store(out).values():
        for name in image.arrays:
            image.read(name)
    return len(open_store(out)), {}


def train_a_little(out, folder):
    from cellprep.learn import TrainOptions, train

    options = {"out": folder / "run", "epochs": 1, "batch_size": 2, "crop": 32, "base_channels": 1, "device": "cpu"}
    report = train(open_store(out), TrainOptions("semseg", workers=0, quiet=True, **options))
    return report.train_images + report.val_images, {}


def check(out, folder):
    report = check_source(open_source(out), CheckOptions(**QUIET))
    return len(report.images), {image.image_id: image.findings for image in report.images if image.findings}


def report(out, folder):
    found = report_dataset(open_source(out), folder / "r.html", ReportOptions(**QUIET))
    return found.images, found.failures


def export(out, folder):
    found = export_labels(open_store(out), "coco", folder / "c.json", **QUIET)
    return found.images, found.failures


def verify(out, folder):
    found = verify_store(out, **QUIET)
    return found.images, {**found.broken, **found.unchecked}


def score(out, folder):
    found = roundtrip(open_store(out), RoundtripOptions(decoders=("walls",), **QUIET)).decoders["walls"]
    return len(found.images), found.failures


def fit(out, folder):
    found = fit_bins(open_store(out), levels=3, **QUIET)
    return found.images, found.failures


def test_a_training_notices_that_its_store_is_built_anew(tmp_path, monkeypatch):
    """By another recipe; by the same one nothing changes."""
    from cellprep.learn import TrainOptions, train
    from cellprep.learn.training.trainer import Trainer

    source, out = write_discs(tmp_path / "source", IMAGES), tmp_path / "s.zarr"
    build_targets(open_source(source), out, BuildOptions(**QUIET))
    size = {"batch_size": 2, "crop": 32, "base_channels": 1, "device": "cpu", "workers": 0, "quiet": True}
    widths, validate = iter([3, 5]), Trainer.validate

    def built_anew(*args):
        recipe = Recipe(wall_width=next(widths))
        build_targets(open_source(source), out, BuildOptions(recipe=recipe, rebuild=True, **QUIET))
        return validate(*args)

    monkeypatch.setattr(Trainer, "validate", built_anew)
    options = TrainOptions("semseg", out=tmp_path / "run", epochs=3, **size)
    with pytest.raises(CellprepError, match=r"^image i\d: \S*s.zarr/i\d was rebuilt with another recipe.* --resume$"):
        train(open_store(out), options)
    assert (tmp_path / "run" / "state.pt").exists()  # of the first epoch
    with pytest.raises(UsageError, match="differs in recipe, data: give the same options and data"):
        train(open_store(out), replace(options, resume=True))


@pytest.fixture
def read_files(monkeypatch):
    """Return the number of reads of each metadata file, by the name of its folder."""
    counted = Counter()

    def counting(path):
        counted[path.parent.name] += 1
        return read_file(path)

    for module in ("reader", "image"):
        monkeypatch.setattr(f"cellprep.store.{module}.read_file", counting)
    return counted


def test_metadata_are_read_once(tmp_path, read_files):
    """By who iterates over a store; and by a training, from its beginning to its end."""
    from cellprep.learn import TrainOptions, train

    build_targets(open_source(write_discs(tmp_path / "source", IMAGES)), tmp_path / "s.zarr", BuildOptions(**QUIET))
    once = dict.fromkeys(["s.zarr", *(f"i{k}" for k in range(IMAGES))], 1)
    read_files.clear()
    list(open_store(tmp_path / "s.zarr").values())
    assert read_files == once
    read_files.clear()
    size = {"batch_size": 2, "crop": 32, "base_channels": 1, "device": "cpu", "workers": 0, "quiet": True}
    train(open_store(tmp_path / "s.zarr"), TrainOptions("dn", out=tmp_path / "run", epochs=1, **size))
    assert read_files == once


def test_an_open_store_sees_what_changes(tmp_path, read_files):
    source, out = write_discs(tmp_path / "source", 2), tmp_path / "s.zarr"
    build_targets(open_source(source), out, BuildOptions(**QUIET))
    store = open_store(out)
    before = store["i0"]
    assert store["i0"] is before
    build_targets(open_source(source), out, BuildOptions(recipe=Recipe(wall_width=5), **QUIET))
    assert (before.recipe.wall_width, store["i0"].recipe.wall_width) == (3, 5)
    (out / "i0/zarr.json").write_text("{}")
    assert list(store) == ["i1"]
    shutil.rmtree(out / "i1")
    assert "i1" not in store
    assert list(store) == []


READERS = {
    "open_store": read_all,
    "check": check,
    "report": report,
    "export": export,
    "verify": verify,
    "roundtrip": score,
    "fit-bins": fit,
    "train": train_a_little,
}


@pytest.mark.parametrize("how", ["exchanged", "moved"])
def test_readers_find_every_image_while_images_are_replaced(tmp_path, how):
    source, out = write_discs(tmp_path / "source", IMAGES), tmp_path / "s.zarr"
    build_targets(open_source(source), out, BuildOptions(**QUIET))
    with built_over_and_over(source, out, how):
        for name, read in READERS.items():
            for turn in range(1 if name == "train" else 3):
                (tmp_path / f"{name}{turn}").mkdir()
                assert read(out, tmp_path / f"{name}{turn}") == (IMAGES, {}), name


def images(out):
    return {name: content for name, content in tree(out).items() if name != "zarr.json"}


@pytest.mark.parametrize("gone", [".cellprep", ".cellprep/run", ".cellprep/run/old"])
def test_a_run_may_end_while_images_are_listed(tmp_path, monkeypatch, gone):
    (tmp_path / "a").mkdir()
    (tmp_path / ".cellprep/run/old/b").mkdir(parents=True)
    assert all_names(tmp_path) == {".cellprep", "a", "b"}
    scan = os.scandir

    def scandir(place="."):
        if (
            str(place) == str(tmp_path / gone) and not (tmp_path / "b").exists()
        ):  # the run brings its image back, and its folder is gone
            (tmp_path / ".cellprep/run/old/b").rename(tmp_path / "b")
            shutil.rmtree(tmp_path / ".cellprep")
        return scan(place)

    monkeypatch.setattr(os, "scandir", scandir)
    assert {"a", "b"} <= all_names(tmp_path)


def test_an_image_whose_place_cannot_be_filled_stays(tmp_path, monkeypatch):
    """As on a network file system that fails between two renames."""
    out = tmp_path / "s.zarr"
    source = write_dataset(tmp_path, images_per_type=1, shape=(40, 50))
    build_targets(open_source(source), out, BuildOptions(**QUIET))
    before = images(out)
    monkeypatch.setattr("cellprep.store.writer.exchange", lambda new, place: False)
    rename = Path.rename

    def fail(path, to):
        if Path(to).parent == out and OUTGOING not in path.parts:
            raise OSError(5, "Input/output error", str(path))
        return rename(path, to)

    monkeypatch.setattr(Path, "rename", fail)
    report = build_targets(open_source(source), out, BuildOptions(recipe=Recipe(wall_width=5), **QUIET))
    monkeypatch.undo()
    assert report.errors()
    assert images(out) == before


def test_nobody_waits_for_the_image_of_a_run_that_was_killed(tmp_path, monkeypatch):
    out = tmp_path / "s.zarr"
    build_targets(open_source(write_dataset(tmp_path, images_per_type=1, shape=(40, 50))), out, BuildOptions(**QUIET))
    name = next(iter(open_store(out)))
    outgoing = out / DOT_FOLDER / "run" / OUTGOING
    outgoing.mkdir(parents=True)
    (out / name).rename(outgoing / name)
    os.utime(outgoing, (0, 0))
    monkeypatch.setattr("cellprep.store.replacing.time.sleep", lambda _: pytest.fail("it waits"))
    assert name not in list(open_store(out))


def test_pixels_are_those_of_the_image_that_is_there_now(tmp_path):
    """Of an open source whose store is built anew by other images; a training on it says so."""
    source, out = write_discs(tmp_path / "source", 2), tmp_path / "s.zarr"
    build_targets(open_source(source), out, BuildOptions(**QUIET))
    record, images = next(open_source(out).images()), TrainingSet(open_store(out), list(open_store(out)))
    build_targets(open_source(write_discs(tmp_path / "other", 2, (44, 60))), out, BuildOptions(**QUIET))
    assert record.pixels.decode().shape == (44, 60)
    with pytest.raises(TrainingError, match="was rebuilt with another recipe"):
        images.read(0, ["image", "labels"])
