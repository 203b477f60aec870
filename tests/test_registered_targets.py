"""Another family, with a target of each kind, needs only a line in `FAMILIES`: the whole package supports it."""

import json
import re
import runpy
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
import pytest
from conftest import tree
from test_report import Page, write_discs

from cellprep import (
    BuildOptions,
    Recipe,
    build_targets,
    cells_from_labels,
    napari_layers,
    open_source,
    open_store,
    preview_store,
    roundtrip,
    score_image,
    summarise,
    verify_store,
)
from cellprep.commands.preview import PreviewOptions
from cellprep.commands.report import ReportOptions, report_dataset
from cellprep.core.targets import FAMILIES, Family
from cellprep.core.targets.target import Beyond, Values, Vectors
from cellprep.core.tuning import option
from cellprep.errors import RecipeError, StoreError, UsageError
from cellprep.learn.data.augmentation import Plan
from cellprep.learn.data.warp import Warp
from cellprep.store import documents
from cellprep.system.options import options_of


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
    smooth = [cv2.blur(done["depth"], (side, side), borderType=cv2.BORDER_REPLICATE) for side in (3, 5)]
    return (np.stack(smooth, axis=-1) > 1).astype(np.uint8)


def _depth(cells, done, recipe):
    """A distance of its own."""
    return cv2.distanceTransform((cells.labels > 0).astype(np.uint8), cv2.DIST_L2, 3)


def _slope(cells, done, recipe):
    """Vectors that are differences."""
    return np.stack([np.gradient(done["depth"], axis=axis) for axis in (0, 1)], axis=-1).astype(np.float32)


def _divergence(cells, done, recipe):
    """Of vectors that are themselves differences."""
    y, x = np.moveaxis(done["slope"], -1, 0)
    return (np.gradient(y, axis=0) + np.gradient(x, axis=1)).astype(np.float32)


def _shares(cells, done, recipe):
    """A cell's size relative to the largest, at the four pixels next to each (needs whole cells), and a position."""
    sizes = np.bincount(cells.labels.ravel(), minlength=len(cells.areas) + 1) / cells.image.sizes.max(initial=1)
    sizes[0] = 0
    around = np.pad(sizes.astype(np.float16)[cells.labels], 1)
    beside = [around[:-2, 1:-1], around[2:, 1:-1], around[1:-1, :-2], around[1:-1, 2:]]
    rows = np.arange(len(cells.labels)) + cells.origin[0]
    return np.stack([*beside, np.broadcast_to(rows[:, None] % 7, cells.labels.shape).astype(np.float16)], axis=-1)


def _joined(cells, done, recipe):
    """Whether a pixel has the same cell as those at an offset to the right, which cannot be rotated."""
    labels = np.pad(cells.labels, ((0, 0), (0, recipe.of(Example).far)))
    width = cells.labels.shape[1]
    steps = range(1, recipe.of(Example).far + 1)
    return np.stack([(cells.labels == labels[:, step:][:, :width]) & (cells.labels > 0) for step in steps], axis=-1)


NEW = (
    Values(
        name="depth",
        compute=_depth,
        dtype="float32",
        about="depth",
        title="depth",
        rule="depths",
        beyond=Beyond.DISTANCE,
        tolerance=1e-3,
    ),
    Vectors(
        name="slope",
        compute=_slope,
        dtype="float32",
        channels=2,
        about="slope",
        title="slope",
        rule="slopes",
        needs=("depth",),
        around=lambda _: 1,
        tolerance=1e-3,
    ),
    Values(
        name="divergence",
        compute=_divergence,
        dtype="float32",
        about="divergence",
        title="divergence",
        rule="divergence of the vectors",
        needs=("slope",),
        around=lambda _: 1,
        tolerance=1e-3,
    ),
    Values(
        name="shares",
        compute=_shares,
        dtype="float16",
        channels=5,
        about="shares",
        title="shares",
        rule="shares",
        around=lambda _: 1,
        beyond=Beyond.CELLS,
        is_recomputed=True,
    ),
    Values(
        name="joined",
        compute=_joined,
        dtype="bool",
        channels=lambda recipe: tuple(f"+{step}" for step in range(1, recipe.of(Example).far + 1)),
        about="joined pixels",
        title="joined",
        rule="joined pixels",
        around=lambda recipe: recipe.of(Example).far,
        is_recomputed=True,
        is_stored=False,
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
        needs=("depth",),
        around=lambda _: 2,
    ),
)
STORED = [target for target in NEW if target.is_stored]


@dataclass(frozen=True, slots=True)
class Example(Family):
    name = "example"
    title = "Example"
    about = "One of each kind."
    credit = "nobody"
    targets = NEW

    far: int = option(3, "How far pixels are joined", 1, 9)

    def decode(self, arrays):
        assert arrays["joined"].shape[2] == self.far
        return cv2.connectedComponents((arrays["depth"] > 0).astype(np.uint8))[1]


@pytest.fixture
def registered(monkeypatch):
    monkeypatch.setitem(FAMILIES, "example", Example)


@pytest.fixture
def discs(tmp_path):
    return write_discs(tmp_path / "discs", count=2)


def build(csv, out, targets="dwt,example:far=2"):
    return build_targets(open_source(csv), out, BuildOptions(jobs=1, quiet=True), targets=targets)


def test_a_registered_target_is_built_resumed_verified_and_repaired(discs, tmp_path, monkeypatch, registered):
    out = tmp_path / "s.zarr"
    with monkeypatch.context() as without:
        without.setattr(Example, "targets", NEW[1:])
        build(discs, out)
    assert build(discs, out).current == 0, "images that lack a target are built again"
    before = tree(out)
    assert build(discs, out).current == 2
    report = verify_store(out, jobs=1, quiet=True)
    assert report.sound and report.notes()[0].startswith("joined: computed from the labels when read")
    name = next(iter(open_store(out)))
    image = open_store(out)[name]
    assert [image.form(target.name) for target in NEW] == [
        (target.shape(*image.shape, image.recipe), np.dtype(target.dtype)) for target in NEW
    ]
    assert image.computed == ["joined"] and "joined" not in image.arrays
    assert image["joined"].shape == (*image.shape, 2)
    np.testing.assert_array_equal(image.read("joined", np.s_[5:30, 9:20]), image["joined"][5:30, 9:20])
    chunk = next(path for path in (out / name / "centre").rglob("c*") if path.is_file())
    chunk.write_bytes(chunk.read_bytes()[:-1] + b"x")
    report = verify_store(out, jobs=1, quiet=True, repair=True)
    assert report.removed == [name]
    build(discs, out)
    assert tree(out) == before


def test_a_registered_target_of_a_huge_image_is_that_of_the_whole_one(discs, tmp_path, monkeypatch, registered):
    build(discs, tmp_path / "whole.zarr")
    whole = {
        name: {target: image.read(target) for target in image.recipe.made}
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
    images = TrainingSet(store, list(store), targets=["labels", *open_store(tmp_path / "s.zarr").recipe.made])
    maker = SampleMaker(images, CropSettings(crop=24, augment=augment), fit_normalisation(store, list(store)))
    largest = max(cells_from_labels(image["labels"]).image.sizes.max() for image in store.values())
    for seed in range(8):
        sample = maker.crop(seed % len(images), np.random.default_rng(seed))
        assert sample["edges"].shape == (24, 24)
        assert sample["joined"].dtype == bool and sample["joined"].shape == (2, 24, 24)
        # It is of the labels as they are seen, not turned with the image.
        same = (sample["labels"][:, 1:] == sample["labels"][:, :-1]) & (sample["labels"][:, 1:] > 0)
        counted = sample["counts"][:, 1:] & sample["counts"][:, :-1]
        np.testing.assert_array_equal(sample["joined"][0, :, :-1][counted], same[counted])
        assert sample["centre"].shape == sample["smooth"].shape == (2, 24, 24)
        # Of two neighbours in one cell, the offsets to its centre differ by the way between them.
        inside = (sample["edges"] == 25) & (sample["semseg"] < 2)
        beside = inside[:, 1:] & inside[:, :-1] & sample["counts"][:, 1:] & sample["counts"][:, :-1]
        assert beside.any()
        steps = (sample["centre"][:, :, :-1] - sample["centre"][:, :, 1:])[:, beside]
        np.testing.assert_allclose(steps, np.array([[0], [1]]).repeat(steps.shape[1], 1), atol=0.01)
        # Mirror images next to the image are not part of the cell.
        assert np.abs(sample["centre"][:, sample["counts"]]).max() < 1.5 * largest


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
    families_page = runpy.run_path(str(Path(__file__).parent.parent / "docs" / "pictures.py"))["families_page"]
    page = tmp_path / "page.html"
    report_dataset(open_source(tmp_path / "s.zarr"), page, ReportOptions(jobs=1, quiet=True))
    methods = roundtrip(discs, targets="all", jobs=1, quiet=True)
    for name, scored in methods.decoders.items():
        assert Page(page).row(name)[0] == f"{scored.scores['overall']['kaggle_map']:.3f}"
    assert "| `centre` | (H, W, 2) | float32 | offsets |" in families_page()
    assert "| `far` | 3 | a whole number from 1 to 9 | How far pixels are joined |" in families_page()


@pytest.mark.parametrize(
    "given",
    [
        "example:far=5,dwt",
        ["dwt", "example:far=5"],
        {"example": {"far": 5}, "dwt": {}},
        ("dwt", Example(far=5)),
    ],
)
def test_families_are_given_in_several_ways_and_kept_in_one(registered, given):
    recipe = options_of(Recipe, None, {"targets": given})
    assert recipe == Recipe(targets=given) == Recipe.from_dict(json.loads(json.dumps(recipe.to_dict())))
    assert recipe.to_dict()["targets"] == {"dwt": {}, "example": {"far": 5}}
    assert repr(recipe).endswith("targets='dwt,example:far=5')")
    assert [*recipe.made][-1] == "smooth" and recipe.of(Example).far == 5
    assert Recipe().of(Example).far == 3 and "targets" not in Recipe(targets="dwt").to_dict()


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ("exmaple", "targets 'exmaple' are unknown: did you mean example"),
        ("dwt,dwt", "targets dwt are given twice"),
        ("", "targets '' are unknown"),
        ([], "no targets are given: choose from dwt, "),
        ("example:far=0", "target option far is 0: give a whole number from 1 to 9"),
        ("example:far=wide", "target option far is 'wide': give a whole number from 1 to 9"),
        ("example:near=2", "target example has no option 'near': its options are far"),
        ("dwt:near=2", "target dwt has no option 'near': it has none"),
        (3, "targets are the int 3: give names"),
        ({"example": 3}, "options of targets example are the int 3"),
    ],
)
def test_families_that_are_none_are_refused(registered, given, problem):
    with pytest.raises(RecipeError, match=re.escape(problem)):
        Recipe(targets=given)


def test_a_round_trip_compares_families_on_any_source(discs, tmp_path, registered, cli):
    build(discs, tmp_path / "s.zarr", "dwt")
    report = roundtrip(discs, targets=["dwt", "example", "example:far=2"], jobs=1, quiet=True)
    assert list(report.decoders) == ["dwt", "example", "example:far=2"]
    of_all = roundtrip(tmp_path / "s.zarr", targets="all", jobs=1, quiet=True)
    assert list(of_all.decoders) == [name for name, kind in FAMILIES.items() if kind.decodes()]
    decoders = roundtrip(tmp_path / "s.zarr", decoders=["walls"], jobs=1, quiet=True).decoders
    assert report.decoders["dwt"].scores == of_all.decoders["dwt"].scores == decoders["walls"].scores
    scores = [
        score_image(cv2.connectedComponents((image["labels"] > 0).astype(np.uint8))[1], image["labels"])
        for image in open_store(tmp_path / "s.zarr").values()
    ]
    assert report.decoders["example:far=2"].scores["overall"] == summarise(scores)
    assert {row["targets"] for row in report.rows} == set(report.decoders)
    shown = cli("roundtrip", discs, "--targets", "dwt,example", "--targets", "example:far=2", "--jobs", 1)
    assert shown.exit_code == 0 and shown.stdout.splitlines() == report.table()


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"targets": "silent"}, "targets silent have no decoder: give some of dwt, "),
        ({"targets": "dwt", "decoders": ["walls"]}, "has a decoder of its own: leave out --decoder"),
    ],
)
def test_a_round_trip_refuses_what_cannot_be_compared(discs, registered, monkeypatch, options, problem):
    monkeypatch.setitem(FAMILIES, "silent", type("Silent", (Family,), {"name": "silent", "targets": ()}))
    with pytest.raises((RecipeError, UsageError), match=re.escape(problem)):
        roundtrip(discs, **options)


def test_a_store_without_the_targets_of_this_package_says_how_to_make_them(discs, tmp_path, registered):
    from cellprep.learn import StoreDataset
    from cellprep.learn.data.training_set import TrainingSet

    build(discs, tmp_path / "s.zarr", "example")
    store = open_store(tmp_path / "s.zarr")
    assert verify_store(store, jobs=1, quiet=True).sound
    image = next(iter(store.values()))
    assert image.arrays == ["image", "labels", "cells", *(target.name for target in STORED)]
    preview_store(store, tmp_path / "p.png", PreviewOptions(images=(image.id,), quiet=True))
    assert report_dataset(open_source(store.path), tmp_path / "page.html", ReportOptions(jobs=1, quiet=True))
    problems = roundtrip(store, jobs=1, quiet=True).failures.values()
    assert all("has no array 'energy': build it with --targets example,dwt" in one for one in problems)
    assert StoreDataset(store, crop=None)[0].keys() > {"labels", "edges", "joined"}
    with pytest.raises(StoreError, match="lacks semseg, uvec, energy, area: build it with --targets example,dwt"):
        TrainingSet(store, list(store), targets=["semseg", "uvec", "energy", "area"])


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
    build(discs, tmp_path / "s.zarr", "dwt")
    monkeypatch.setitem(FAMILIES, "example", Example)
    image = next(iter(open_store(tmp_path / "s.zarr").values()))
    assert "edges" not in {settings["name"] for _, settings, _ in napari_layers(image)}
