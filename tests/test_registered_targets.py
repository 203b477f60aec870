"""One more target of each kind is one name in `TARGETS`: all of the package takes it as it takes its own."""

from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import tree
from test_report import write_discs

from cellprep import BuildOptions, build_targets, napari_layers, open_source, open_store, preview_store, verify_store
from cellprep.commands.preview import PreviewOptions
from cellprep.commands.report import ReportOptions, report_dataset
from cellprep.core.targets import TARGETS, targets_table
from cellprep.core.targets.target import Beyond, Values, Vectors
from cellprep.learn.data.augmentation import Plan
from cellprep.learn.data.warp import Warp
from cellprep.store import documents


def _edges(cells, done, recipe):
    """A scalar of the pixels around: how many of the 25 around a pixel are its owner's."""
    ranks = cells.ranks.astype(np.float32)
    same = sum(
        (np.roll(np.pad(ranks, 2), (y, x), (0, 1))[2:-2, 2:-2] == ranks) for y in range(-2, 3) for x in range(-2, 3)
    )
    return same.astype(np.uint8)


def _to_centre(cells, done, recipe):
    """Vectors that need whole cells: from each pixel to the mean of its cell's pixels."""
    y, x = np.mgrid[: cells.labels.shape[0], : cells.labels.shape[1]]
    owned = np.maximum(np.bincount(cells.labels.ravel(), minlength=len(cells.areas) + 1), 1)
    means = [np.bincount(cells.labels.ravel(), along.ravel(), len(cells.areas) + 1) / owned for along in (y, x)]
    offsets = np.stack([mean[cells.labels] - along for mean, along in zip(means, (y, x), strict=True)], axis=-1)
    offsets[cells.labels == 0] = 0
    return offsets.round(3).astype(np.float32)


def _two_levels(cells, done, recipe):
    """Two channels made of another target: the distance, smoothed twice."""
    smooth = [cv2.blur(done["distance"], (side, side), borderType=cv2.BORDER_REPLICATE) for side in (3, 5)]
    return (np.stack(smooth, axis=-1) > 1).astype(np.uint8)


def _divergence(cells, done, recipe):
    """Of the vectors, which are themselves differences."""
    y, x = np.moveaxis(done["uvec"], -1, 0)
    return (np.gradient(y, axis=0) + np.gradient(x, axis=1)).astype(np.float32)


NEW = [
    Values(
        name="divergence",
        compute=_divergence,
        dtype="float32",
        about="divergence",
        title="divergence",
        rule="divergence of the vectors",
        needs=("uvec",),
        around=lambda _: 1,
        tolerance=1e-3,
    ),
    Values(name="edges", compute=_edges, dtype="uint8", title="edges", rule="edges", about="edges", around=lambda _: 2),
    Vectors(
        name="centre",
        compute=_to_centre,
        dtype="float32",
        channels=2,
        about="offsets",
        title="offset to the centre",
        rule="offsets to the centre",
        beyond=Beyond.CELLS,
        tolerance=1e-3,
    ),
    Values(
        name="smooth",
        compute=_two_levels,
        dtype="uint8",
        channels=2,
        about="where it is smooth",
        title="smooth distance",
        rule="smoothed distances",
        needs=("distance",),
        around=lambda _: 2,
    ),
]


@pytest.fixture
def registered(monkeypatch):
    for target in NEW:
        monkeypatch.setitem(TARGETS, target.name, target)


@pytest.fixture
def discs(tmp_path):
    return write_discs(tmp_path / "discs", count=2)


def build(csv, out):
    options = BuildOptions(jobs=1, quiet=True)
    return build_targets(open_source(csv), out, options)


def test_a_registered_target_is_built_resumed_verified_and_repaired(discs, tmp_path, monkeypatch, registered):
    out = tmp_path / "s.zarr"
    with monkeypatch.context() as without:
        for target in NEW:
            without.delitem(TARGETS, target.name)
        build(discs, out)
    assert build(discs, out).current == 0, "images that lack a target are built again"
    before = tree(out)
    assert build(discs, out).current == 2
    assert verify_store(out, jobs=1, quiet=True).sound
    name = next(iter(open_store(out)))
    image = open_store(out)[name]
    assert [image.form(target.name) for target in NEW] == [
        (target.shape(*image.shape), np.dtype(target.dtype)) for target in NEW
    ]
    chunk = next(path for path in (out / name / "centre").rglob("c*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    report = verify_store(out, jobs=1, quiet=True, repair=True)
    assert report.removed == [name]
    build(discs, out)
    assert tree(out) == before


def test_a_registered_target_of_a_huge_image_is_that_of_the_whole_one(discs, tmp_path, monkeypatch, registered):
    build(discs, tmp_path / "whole.zarr")
    whole = {
        name: {target: image.read(target) for target in TARGETS}
        for name, image in open_store(tmp_path / "whole.zarr").items()
    }
    monkeypatch.setattr(documents, "_CHUNK", 8)
    monkeypatch.setattr(documents, "_SHARD", 16)
    monkeypatch.setattr("cellprep.core.targets.by_window._HALO", 4)
    monkeypatch.setattr("cellprep.core.windows._SIDE", 16)
    documents.array_document.cache_clear()
    build(discs, tmp_path / "huge.zarr")
    huge = open_store(tmp_path / "huge.zarr")
    for name, arrays in whole.items():
        assert huge[name].is_huge
        for target, array in arrays.items():
            np.testing.assert_array_equal(huge[name].read(target), array, err_msg=target)
    assert verify_store(tmp_path / "huge.zarr", jobs=1, quiet=True).sound
    documents.array_document.cache_clear()


@pytest.mark.parametrize("augment", [("flips",), ("flips", "rotation", "zoom")])
def test_a_registered_target_is_loaded_and_turns_with_its_image(discs, tmp_path, registered, augment):
    from cellprep.learn.data.fitting import fit_normalisation
    from cellprep.learn.data.samples import CropSettings, SampleMaker
    from cellprep.learn.data.training_set import TrainingSet

    build(discs, tmp_path / "s.zarr")
    store = open_store(tmp_path / "s.zarr")
    images = TrainingSet(store, list(store))
    maker = SampleMaker(images, CropSettings(crop=24, augment=augment), fit_normalisation(store, list(store)))
    for seed in range(8):
        sample = maker.crop(seed % len(images), np.random.default_rng(seed))
        assert sample["edges"].shape == (24, 24)
        assert sample["centre"].shape == sample["smooth"].shape == (2, 24, 24)
        # Of two neighbours in one cell, the offsets to its centre differ by the way between them.
        inside = (sample["edges"] == 25) & (sample["semseg"] < 2)
        beside = inside[:, 1:] & inside[:, :-1] & sample["counts"][:, 1:] & sample["counts"][:, :-1]
        assert beside.any()
        steps = (sample["centre"][:, :, :-1] - sample["centre"][:, :, 1:])[:, beside]
        np.testing.assert_allclose(steps, np.array([[0], [1]]).repeat(steps.shape[1], 1), atol=0.01)


def test_a_registered_target_is_drawn_and_named(discs, tmp_path, registered):
    build(discs, tmp_path / "s.zarr")
    store = open_store(tmp_path / "s.zarr")
    preview_store(store, tmp_path / "p.png", PreviewOptions(images=(next(iter(store)),), quiet=True))
    layers = {settings["name"]: kind for _, settings, kind in napari_layers(next(iter(store.values())))}
    assert {name: layers[name] for name in ("edges", "centre", "smooth")} == {
        "edges": "image",
        "centre": "vectors",
        "smooth": "image",
    }
    page = tmp_path / "page.html"
    report_dataset(open_source(tmp_path / "s.zarr"), page, ReportOptions(jobs=1, quiet=True))
    assert page.exists()
    assert "| `centre` | offsets |" in targets_table()


def test_the_documentation_says_what_each_target_holds():
    assert "\n".join(targets_table()) in (Path(__file__).parent.parent / "docs/store.md").read_text()


def test_a_warp_that_moves_nothing_shows_the_targets_of_the_whole_image(discs, tmp_path, registered, monkeypatch):
    """Also at the edges of a crop, where targets need pixels around those that other targets need."""
    from cellprep.learn.data.samples import CropSettings, SampleMaker
    from cellprep.learn.data.training_set import TrainingSet

    build(discs, tmp_path / "s.zarr")
    store = open_store(tmp_path / "s.zarr")
    images = TrainingSet(store, list(store), channels=0)
    monkeypatch.setattr("cellprep.learn.data.samples.draw_plan", lambda *_: Plan(Warp(np.eye(2))))
    cut, warped = (
        SampleMaker(images, CropSettings(crop=16, augment=augment), None).crop(0, np.random.default_rng(3))
        for augment in ((), ("rotation",))
    )
    for name in ("edges", "divergence", "smooth", "uvec"):
        np.testing.assert_array_equal(
            warped[name][..., warped["counts"]], cut[name][..., warped["counts"]], err_msg=name
        )


def test_stores_of_before_are_shown_without_the_new_targets(discs, tmp_path, monkeypatch):
    build(discs, tmp_path / "s.zarr")
    for target in NEW:
        monkeypatch.setitem(TARGETS, target.name, target)
    image = next(iter(open_store(tmp_path / "s.zarr").values()))
    assert "edges" not in {settings["name"] for _, settings, _ in napari_layers(image)}
