"""Prediction as a whole: images, networks and masks to instances in files."""

import json
import re
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
import torch
import zarr
from conftest import names_in, output, tree
from PIL import Image

from cellprep import (
    EXPORTERS,
    Recipe,
    build_targets,
    cells_from_labels,
    compute_targets,
    measure_to_file,
    open_source,
    open_store,
)
from cellprep.commands.export import export_labels
from cellprep.errors import OutputError, UsageError, WeightsError
from cellprep.learn import (
    Bundle,
    Decoding,
    Network,
    Normalisation,
    TrainOptions,
    Weights,
    build_network,
    load_bundle,
    load_vgg16,
    load_weights,
    predict,
    predict_and_measure,
    save_bundle,
    save_weights,
    segment,
    train,
)
from cellprep.learn.networks import NetworkSettings
from cellprep.learn.prediction import predictor as predictor_module
from cellprep.learn.prediction.options import OutputOptions, PredictionOptions
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.tiles import cut_tiles, see

QUIET = PredictionOptions(device="cpu", quiet=True)
NORMALISATION = Normalisation("percentile", (1,), (99.8,))


def weights(name, **settings):
    network = build_network(NetworkSettings(name, **{"base_channels": 2, "levels": 5, **settings}), seed=1)
    channels = network.settings.image_channels
    return Weights(network, Normalisation("percentile", (1,) * channels, (99.8,) * channels))


@pytest.fixture(scope="module")
def labels():
    """Cells that touch in pairs, one at the image's edge, one alone: (33, 50), no multiple of anything."""
    image = np.zeros((33, 50), np.uint16)
    image[0:12, 3:15], image[0:12, 15:30] = 1, 2
    image[16:30, 2:20], image[16:30, 20:34], image[20:33, 38:50] = 3, 4, 5
    return image


@pytest.fixture(scope="module")
def targets(labels):
    return compute_targets(cells_from_labels(labels), Recipe())


class Oracle(Network):
    """A network that knows the true maps of one image, and notes what it was given."""

    def __init__(self, name, targets):
        super().__init__(NetworkSettings(name, base_channels=1))
        window = cut_tiles(targets["energy"].shape, 16, 16, 1024)[0].window
        self.semseg, self.uvec = (
            torch.from_numpy(see(np.moveaxis(targets[key], 2, 0), window))[None].float() for key in ("semseg", "uvec")
        )
        energy = torch.from_numpy(see(targets["energy"], window)).long()
        self.levels = torch.nn.functional.one_hot(energy, 17).movedim(2, 0)[None].float()

    def forward(self, image, mask=None):
        self.seen = image, mask
        if self.settings.name == "semseg":
            return 9 * self.semseg
        return self.uvec, 9 * self.levels


@pytest.fixture
def oracles(targets):
    return Bundle(*(Weights(Oracle(name, targets), NORMALISATION) for name in ("wn",)))


@pytest.fixture
def all_knowing(oracles, targets):
    return Bundle(oracles.vectors, None, Weights(Oracle("semseg", targets), NORMALISATION))


@pytest.fixture
def picture(labels):
    return np.random.default_rng(0).integers(0, 200, labels.shape).astype(np.uint8) + (labels > 0)


# --- one image


def test_true_maps_give_the_true_labels(picture, labels, oracles, all_knowing):
    np.testing.assert_array_equal(segment(picture, all_knowing, options=QUIET), labels)
    np.testing.assert_array_equal(segment(picture[None], oracles, mask=labels, options=QUIET), labels)


def test_networks_see_the_image_normalised_and_padded_symmetrically(picture, labels, oracles):
    segment(picture, oracles, mask=labels, options=QUIET)
    image, mask = oracles.vectors.network.seen
    padding = ((23, 24), (23, 23))  # to 80 x 96
    expected = np.pad(NORMALISATION.apply(picture[None])[0], padding, mode="symmetric")
    np.testing.assert_allclose(image[0, 0], expected, rtol=1e-6)
    np.testing.assert_array_equal(mask[0, 0], np.pad(labels > 0, padding, mode="symmetric"))


def test_what_learned_from_cells_without_walls_sees_these(picture, labels, targets, all_knowing):
    vectors = Weights(Oracle("wn", targets), NORMALISATION, mask="cells")
    blind = Bundle(vectors, semseg=all_knowing.semseg)
    np.testing.assert_array_equal(segment(picture, blind, options=QUIET), labels)
    np.testing.assert_array_equal(blind.vectors.network.seen[1][0, 0, 23:56, 23:73], targets["semseg"][..., 0])


@pytest.mark.parametrize("turned", [False, True], ids=["columns", "rows"])
@pytest.mark.parametrize("arch", ["published", "unet"])
def test_tiles_give_the_same_as_the_whole(arch, turned, monkeypatch):
    bundle = Bundle(weights("dn", arch=arch), weights("wtn", arch=arch), weights("semseg"))
    rng = np.random.default_rng(0)
    image = rng.integers(0, 50, (37, 600), dtype=np.uint16)
    image += np.kron(rng.integers(0, 255, (4, 60)), np.ones((10, 10), int))[:37].astype(np.uint16)
    classes = np.kron(rng.integers(0, 3, (5, 75)), np.ones((8, 8), int))[:37].astype(np.uint8)
    if turned:
        image, classes = image.T, classes.T

    def maps(size, told=classes):
        options = PredictionOptions(device="cpu", tile_size=size, batch_size=2, quiet=True)
        return Predictor(bundle, options).predict(image[None], told, keep_uvec=True, keep_confidence=True)

    def apart(one, other):
        """The share of pixels that differ by more than rounding."""
        vectors = np.abs(one.uvec.astype(float) - other.uvec) > 0.01
        confidence = np.abs(one.confidence.astype(int) - other.confidence) > 1
        return [
            differs.mean()
            for differs in (vectors, confidence, one.energy != other.energy, one.classes != other.classes)
        ]

    least = 2 * Predictor(bundle, QUIET)._instances.margin + 16
    assert least < 400
    whole = maps(1024)
    assert max(apart(whole, maps(least))) < 1e-3
    assert max(apart(maps(1024, None), maps(least, None))) < 1e-3
    monkeypatch.setattr(
        predictor_module, "find_receptive_field", lambda settings: 16
    )  # as if they saw less than they do
    assert apart(whole, maps(80))[0] > 0.01


def test_tiles_that_are_too_small_are_refused():
    problem = r"tile size 200 is too small: the receptive field .* extends 135 pixels .* use 272 or more"
    with pytest.raises(UsageError, match=problem):
        Predictor(Bundle(weights("wn", arch="unet")), PredictionOptions(tile_size=200))


def test_all_turns_and_half_the_bytes_give_about_the_same(picture, labels):
    bundle = Bundle(weights("wn"))

    def uvec(**options):
        predictor = Predictor(bundle, PredictionOptions(device="cpu", quiet=True, **options))
        return predictor.predict(picture[None], 2 * (labels == 0).astype(np.uint8), keep_uvec=True).uvec.astype(float)

    one, turned, short = uvec(), uvec(tta=True), uvec(precision="bfloat16")
    inside = labels > 0
    for vectors in (one, turned, short):
        np.testing.assert_allclose(np.hypot(*np.moveaxis(vectors[inside], 1, 0)), 1, atol=1e-2)
        assert not vectors[~inside].any()
    assert 0 < np.abs(short - one)[inside].mean() < 0.1
    assert np.abs(turned - one).max() > 0.1
    # The prediction of a rotated image is the rotated prediction, which does not hold for a single view.
    options = PredictionOptions(device="cpu", quiet=True, tta=True)
    small, mask = picture[:32, :48], labels[:32, :48]
    np.testing.assert_array_equal(
        segment(small[::-1], bundle, mask[::-1], options) > 0, (segment(small, bundle, mask, options) > 0)[::-1]
    )


@pytest.mark.parametrize(
    ("image", "mask", "problem"),
    [
        (
            np.zeros((2, 20, 30), np.uint8),
            None,
            "but the weights are for 1: select or average",
        ),
        (np.zeros((1, 1, 20, 30)), None, r"image must be a file, or an array .* not float64 of shape \(1, 1, 20, 30\)"),
        (np.zeros((0, 30)), None, "the image is "),
        (np.full((20, 30), np.nan), None, "values that are not finite"),
        (np.zeros((20, 30), bool), None, "values that are not finite"),
        (np.zeros((20, 30)), np.zeros((30, 20)), "the mask is 30 x 20, but the image 20 x 30"),
        (np.zeros((20, 30)), np.zeros(30), r"the mask has shape \(30,\)"),
    ],
    ids=str,
)
def test_what_networks_cannot_look_at_is_refused(image, mask, problem):
    mask = np.ones((20, 30)) if mask is None else mask
    with pytest.raises(UsageError, match=problem):
        segment(image, Bundle(weights("wn", base_channels=1)), mask)


def test_images_smaller_than_the_padding():
    bundle = Bundle(weights("dn"), weights("wtn"), weights("semseg"))
    for shape in ((1, 1), (3, 40)):
        assert segment(np.ones(shape), bundle, options=QUIET).shape == shape


def test_somebody_must_tell_where_cells_are():
    with pytest.raises(UsageError, match="there is no mask of cells: give one, or add the weights of a semseg"):
        segment(np.zeros((20, 30)), Bundle(weights("wn", base_channels=1)))


def test_a_dn_alone_tells_no_instances():
    with pytest.raises(UsageError, match="a dn alone predicts vectors, not instances: also give the weights of a wtn"):
        segment(np.zeros((20, 30)), Bundle(weights("dn")), np.ones((20, 30)))


# --- many images


@pytest.fixture
def folder(tmp_path, picture, labels):
    """Two images of the same cells, with their masks, and a store with both."""
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for name in ("a", "b"):
        Image.fromarray(picture).save(tmp_path / "images" / f"{name}.png")
        tifffile.imwrite(tmp_path / "masks" / f"{name}.tif", labels)
    report = build_targets(open_source(tmp_path), tmp_path / "data.zarr")
    assert not report.errors()
    return tmp_path


def run(folder, bundle, out="out", images="images", to=("label-tiff",), **options):
    outputs = OutputOptions(to=to, **{name: options.pop(name) for name in ("maps", "overlay") if name in options})
    return predict([folder / images], folder / out, bundle, outputs=outputs, options=QUIET, **options)


@pytest.mark.parametrize("told_by", ["masks", "data", "network"])
def test_masks_come_from_files_a_store_or_a_network(folder, labels, oracles, all_knowing, told_by):
    where = {"masks": {"masks": folder / "masks"}, "data": {"data": folder / "data.zarr"}, "network": {}}[told_by]
    report = run(
        folder, oracles if where else all_knowing, images="data.zarr" if told_by == "data" else "images", **where
    )
    assert not report.errors()
    assert report.notes() == [f"{folder / 'out'}: 2 images, 10 cells (on cpu, float32)"]
    assert [*output(folder / "out")] == ["a.tif", "b.tif"]
    np.testing.assert_array_equal(tifffile.imread(folder / "out" / "b.tif"), labels)


def save_turned(path, picture, tag, turns):
    exif = Image.Exif()
    exif[274] = tag
    Image.fromarray(np.ascontiguousarray(np.rot90(picture, turns))).save(path, exif=exif)


@pytest.mark.parametrize(
    ("turns", "orientation", "by_masks"), [(1, None, False), (0, "ignore", False), (0, None, True), (1, None, True)]
)
def test_images_are_turned_as_their_masks_or_options_say(folder, request, turns, orientation, by_masks):
    for name in "ab":
        save_turned(folder / "images" / f"{name}.png", request.getfixturevalue("picture"), 6, turns)
    bundle, where = request.getfixturevalue("all_knowing"), {}
    if by_masks:
        bundle, where = request.getfixturevalue("oracles"), {"masks": folder / "masks"}
    report = predict(
        [folder / "images"], folder / "out", bundle, options=replace(QUIET, orientation=orientation), **where
    )
    told = "kept in the stored orientation; the Orientation tag (EXIF) was ignored:"
    if turns:
        told = "rotated as the Orientation tag (EXIF) says; --orientation ignore keeps the stored orientation:"
    assert report.notes() == [
        f"2 images {told}",
        "  a",
        "  b",
        f"{folder / 'out'}: 2 images, 10 cells (on cpu, float32)",
    ]
    np.testing.assert_array_equal(tifffile.imread(folder / "out" / "b.tif"), request.getfixturevalue("labels"))


def test_masks_are_read_as_targets_are_built_from_them(folder, picture, labels, oracles):
    save_turned(folder / "masks" / "a.png", labels.astype(np.uint8), 6, 1)  # without the option orientation
    (folder / "masks" / "a.tif").unlink()
    tifffile.imwrite(folder / "masks" / "b.tif", picture)
    told, a, b = run(folder, oracles, masks=folder / "masks").errors()
    assert told.startswith("error: 2 of 2 images failed")
    assert "its Orientation tag (6) asks for a rotation" in a
    assert "looks like a picture by its values" in b
    save_turned(folder / "images" / "a.png", picture, 6, 1)
    assert run(folder, oracles, masks=folder / "masks").images == 1
    np.testing.assert_array_equal(tifffile.imread(folder / "out" / "a.tif"), labels)


@pytest.mark.parametrize("images", ["images", "data.zarr"])
def test_cells_are_measured_in_the_same_go(folder, all_knowing, labels, picture, images):
    tables = [folder / "one.csv", folder / "two.csv"]
    report = predict_and_measure([folder / images], tables[0], folder / "out", all_knowing, options=QUIET)
    assert report.notes()[-1].startswith(f"{tables[0]}: 2 images, 10 cells, ")
    assert not report.errors()
    measure_to_file(folder / "out", tables[1], images=folder / "images", jobs=1, quiet=True)
    assert tables[0].read_text() == tables[1].read_text()
    expected = [picture[labels == number].mean() for number in range(1, 6)]
    assert pd.read_csv(tables[0])["intensity_mean"].tolist() == pytest.approx(expected * 2)


def test_measures_need_cells(folder, all_knowing):
    outputs = OutputOptions(to="coco")
    with pytest.raises(UsageError, match="add label-tiff to the output formats"):
        predict_and_measure([folder / "images"], folder / "t.csv", folder / "o", all_knowing, outputs=outputs)
    vectors = Bundle(weights("dn"))
    options = {"masks": folder / "masks", "options": QUIET}
    report = predict_and_measure([folder / "images"], folder / "t.csv", folder / "o", vectors, **options)
    assert report.errors() == [
        "error: no cells were measured, as a dn alone predicts only vectors: give the weights of a wtn, too"
    ]
    assert not (folder / "t.csv").exists()


def test_masks_may_be_any_annotations(folder, labels, oracles):
    export_labels(open_store(folder / "data.zarr"), "kaggle-csv", folder / "cells.csv", jobs=1, quiet=True)
    run(folder, oracles, masks=folder / "cells.csv")
    np.testing.assert_array_equal(tifffile.imread(folder / "out" / "a.tif"), labels)


def test_a_store_tells_masks_but_not_walls(folder, targets):
    """Its walls would tell the instances, whatever the networks say."""
    knows_nothing = Bundle(
        Weights(Oracle("wn", {**targets, "energy": np.full_like(targets["energy"], 3)}), NORMALISATION)
    )
    run(folder, knows_nothing, data=folder / "data.zarr")
    assert tifffile.imread(folder / "out" / "a.tif").max() == 3  # those that touch are one


def test_every_format_is_scored_as_it_is(folder, all_knowing, cli):
    assert not run(folder, all_knowing, to=tuple(EXPORTERS), overlay=True).errors()
    out = folder / "out"
    for predicted in (out, out / "submission.csv", out / "coco.json"):
        result = cli("evaluate", predicted, folder / "masks", "--json", "--jobs", 1)
        assert result.exit_code == 0, result.stderr
        assert json.loads(result.stdout)["overall"]["kaggle_map"] == 1
    header, first, *rest = (out / "submission.csv").read_text().splitlines()
    assert header == "id,predicted"
    assert first.startswith("a,4 12 54 12 ")
    assert len(rest) == 9


def test_scores_are_how_sure_the_semantic_network_is_else_the_energy(folder, all_knowing, oracles):
    run(folder, all_knowing, to=("coco",))
    run(folder, oracles, "other", to=("coco",), masks=folder / "masks")
    sure = [
        {annotation["score"] for annotation in json.loads((folder / out / "coco.json").read_text())["annotations"]}
        for out in ("out", "other")
    ]
    semantic = 1 - 1 / (np.e**9 + 2)
    levels = np.e**9 / (np.e**9 + 16)
    for scores, expected in zip(sure, (semantic, levels), strict=True):
        assert len(scores) == 1
        assert scores.pop() == pytest.approx(expected, abs=1 / 255)


def test_maps_are_zarr_and_no_store(folder, all_knowing, targets):
    run(folder, all_knowing, maps=folder / "maps.zarr")
    group = zarr.open_group(folder / "maps.zarr", mode="r")
    assert sorted(group) == ["a", "b"]
    np.testing.assert_array_equal(group["a/semseg"][:], targets["semseg"])
    np.testing.assert_array_equal(group["a/energy"][:], targets["energy"])
    np.testing.assert_allclose(group["a/uvec"][:], targets["uvec"], atol=1e-3)
    assert group["a"].attrs["cellprep-maps"] == {"shape": [33, 50]}
    with pytest.raises(Exception, match="not a cellprep store"):
        open_store(folder / "maps.zarr")


def test_images_are_seen_at_the_scale_of_the_weights(tmp_path, all_knowing, labels, picture):
    """Networks that know pixels of 1 µm see one of 0.5 µm at half its size, and its cells come back at its own."""
    larger = [np.kron(one, np.ones((2, 2), one.dtype)) for one in (picture, labels)]
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.tif", larger[0], ome=True, metadata={"axes": "YX", **sizes})
    parts = (replace(part, pixel_size=1.0) for part in (all_knowing.vectors, all_knowing.semseg))
    bundle = Bundle(next(parts), semseg=next(parts))
    to = ["label-tiff", "coco"]
    report = predict(tmp_path / "a.tif", tmp_path / "out", bundle, to=to, maps=tmp_path / "maps", options=QUIET)
    assert (report.failures, report.cells) == ({}, 5)
    assert report.notes()[:3] == [
        "pixel size: 0.5 µm (1 image)",
        "1 image seen at the scale of the weights, 1 µm a pixel; results are at the original scale:",
        "  a: 66 x 100 pixels seen as 33 x 50 (times 0.5)",
    ]
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out" / "a.tif"), larger[1])
    with tifffile.TiffFile(tmp_path / "out" / "a.tif") as tiff:
        assert 'PhysicalSizeX="0.5"' in tiff.ome_metadata
    assert len(json.loads((tmp_path / "out" / "coco.json").read_text())["annotations"]) == 5
    record = json.loads((tmp_path / "out" / "cellprep-prediction.json").read_text())
    assert record["pixel_size_of_weights"] == 1
    assert record["images"] == {"a": {"scale": [0.5, 0.5], "shape": [66, 100], "seen": [33, 50]}}
    maps = zarr.open_group(tmp_path / "maps" / "a", mode="r")
    assert maps["energy"].shape == (33, 50)
    assert dict(maps.attrs)["cellprep-maps"] == {"shape": [33, 50], "image_shape": [66, 100], "scale": [0.5, 0.5]}
    assert open_source(tmp_path / "out", "label-folder").image_ids == ["a"]  # the record is no annotation


def test_a_size_that_is_given_scales_arrays_and_least_areas(all_knowing, labels, picture):
    parts = (replace(part, pixel_size=1.0) for part in (all_knowing.vectors, all_knowing.semseg))
    bundle = Bundle(next(parts), semseg=next(parts))
    larger = [np.kron(one, np.ones((2, 2), one.dtype)) for one in (picture, labels)]
    found = segment(larger[0], bundle, options=QUIET, pixel_size=0.5)
    np.testing.assert_array_equal(found, larger[1])
    np.testing.assert_array_equal(
        segment(larger[0], replace(bundle, semseg=None), mask=larger[1], options=QUIET, pixel_size=0.5) > 0, found > 0
    )
    areas = np.bincount(larger[1].ravel())[1:]  # of the image, not of what networks see
    least = int(np.sort(areas)[-2])
    assert segment(larger[0], bundle, options=QUIET, pixel_size=0.5, min_area=least).max() == np.sum(areas >= least)
    np.testing.assert_array_equal(segment(picture, bundle, options=QUIET, pixel_size=1.02), labels)  # as it is
    with pytest.raises(UsageError, match="the mask is 33 x 50, but the image 66 x 100"):
        segment(larger[0], bundle, mask=labels, options=QUIET, pixel_size=0.5)


def test_sizes_that_lead_to_nothing_are_said(tmp_path, all_knowing, picture):
    sizes = {"PhysicalSizeX": 0.5, "PhysicalSizeY": 0.5}
    tifffile.imwrite(tmp_path / "a.tif", picture, ome=True, metadata={"axes": "YX", **sizes})
    report = predict(tmp_path / "a.tif", tmp_path / "out", all_knowing, options=QUIET, pixel_size=0.7)
    assert report.notes()[:2] == [
        "warning: --pixel-size 0.7 is used, but image files have 0.5 µm (1 image)",
        "note: the weights do not have the pixel size of their training images, so nothing is scaled",
    ]
    Image.fromarray(picture).save(tmp_path / "b.png")
    parts = (replace(part, pixel_size=1.0) for part in (all_knowing.vectors, all_knowing.semseg))
    report = predict(tmp_path / "b.png", tmp_path / "out2", Bundle(next(parts), semseg=next(parts)), options=QUIET)
    assert report.notes()[0] == (
        "note: 1 image of unknown pixel size seen as stored; the weights were trained on pixels of 1 µm: give "
        "those of the images with --pixel-size"
    )
    assert not (tmp_path / "out2" / "cellprep-prediction.json").exists()


def test_predictions_as_ome_zarr_are_images_with_their_labels(tmp_path, all_knowing, labels, picture):
    """Viewers open nothing of labels alone."""
    from ome_zarr_models.v05 import Image as OMEImage

    Image.fromarray(picture).save(tmp_path / "a.png")
    predict(tmp_path / "a.png", tmp_path / "out", all_knowing, to="ome-zarr", options=QUIET)
    group = zarr.open_group(tmp_path / "out" / "a.ome.zarr", mode="r")
    assert OMEImage.from_zarr(group).labels is not None
    np.testing.assert_array_equal(group["image"][...], picture)
    np.testing.assert_array_equal(group["labels/instances/0"][...], labels)


def test_overlays_are_drawn_beside_what_is_scored(folder, all_knowing, labels):
    run(folder, all_knowing, overlay=True)
    with Image.open(folder / "out" / "overlays" / "a.png") as picture:
        assert picture.size == labels.shape[::-1]


def test_images_that_fail_stop_no_other(folder, oracles):
    images = folder / "images"
    (images / "broken.png").write_bytes(b"\x89PNG")
    Image.fromarray(np.random.default_rng(0).integers(0, 9, (33, 50, 3)).astype(np.uint8)).save(images / "colour.png")
    shutil.copy(images / "a.png", images / "unknown.png")
    Image.fromarray(np.zeros((20, 30), np.uint8)).save(images / "small.png")
    for name in ("colour", "small", "broken"):
        shutil.copy(folder / "masks" / "a.tif", folder / "masks" / f"{name}.tif")
    report = run(folder, oracles, masks=folder / "masks")
    assert report.images == 2
    first, *failed = report.errors()
    assert first == "error: 4 of 6 images failed:"
    for line, problem in zip(
        failed,
        ("broken: .*damaged", "colour: .*has 3 channels", "small: .*33 x 50", "unknown: it has no mask"),
        strict=True,
    ):
        assert re.search(problem, line)
    assert len(output(folder / "out")) == 2


def test_nothing_is_written_if_all_fail_or_something_is_there(folder, oracles, all_knowing):
    for path in (folder / "masks").iterdir():
        path.write_bytes(b"")
    report = run(folder, oracles, masks=folder / "masks")
    assert report.errors()[0] == f"error: 2 of 2 images failed; {folder / 'out'} was not written:"
    assert not report.notes()
    before = tree(folder)
    with pytest.raises(OutputError, match="already exists and is not overwritten"):
        run(folder, all_knowing, out="images")
    with pytest.raises(UsageError, match="is inside the other"):
        run(folder, all_knowing, maps=folder / "out" / "maps.zarr")
    assert tree(folder) == before


def test_the_same_images_give_the_same_bytes(folder, all_knowing):
    for out in ("one", "two"):
        run(folder, all_knowing, out, to=tuple(EXPORTERS), overlay=True, maps=folder / f"{out}.zarr")
    assert tree(folder / "one") == tree(folder / "two")
    assert tree(folder / "one.zarr") == tree(folder / "two.zarr")


@pytest.mark.parametrize(
    ("options", "problem"),
    [
        ({"precision": "float16"}, "precision 'float16' is unknown"),
        ({"device": "tpu"}, "device 'tpu' is unknown"),
        ({"decoder": "best"}, "decoder 'best' is unknown"),
        ({"min_area": -1}, "the minimum area is -1"),
        ({"batch_size": 0}, "batch size is 0"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(options, problem):
    with pytest.raises(UsageError, match=problem):
        PredictionOptions(**options)


@pytest.mark.parametrize("to", [(), ("png",), ("coco", "coco")], ids=str)
def test_formats_that_cannot_be_are_refused(to):
    with pytest.raises(UsageError, match=r"give one or several of kaggle-csv, coco, .*, each once"):
        OutputOptions(to=to)


# --- a dn alone


@pytest.mark.parametrize("elsewhere", [False, True])
def test_a_dn_alone_gives_its_vectors_and_pictures(folder, elsewhere, monkeypatch):
    bundle = Bundle(weights("dn"))
    maps = folder / "maps" if elsewhere else None
    report = run(folder, bundle, masks=folder / "masks", maps=maps)
    assert report.notes()[0] == f"{folder / 'out'}: vectors of 2 images, no instances (on cpu, float32)"
    assert names_in(folder / "out") == ["a.png", "b.png", *["maps.zarr"][elsewhere:]]
    group = zarr.open_group(maps or folder / "out" / "maps.zarr", mode="r")
    assert sorted(group["b"]) == ["semseg", "uvec"]
    pixels, mask = np.asarray(Image.open(folder / "images" / "b.png")), tifffile.imread(folder / "masks" / "b.tif")
    expected = Predictor(bundle, QUIET).predict(pixels[None], 2 * (mask == 0).astype(np.uint8), keep_uvec=True)
    np.testing.assert_array_equal(group["b/uvec"][:], expected.uvec)
    with Image.open(folder / "out" / "a.png") as picture:
        assert picture.size[0] > 3 * picture.size[1]  # the image, its mask, its vectors, side by side
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    report = run(folder, bundle, "plain", masks=folder / "masks")
    assert names_in(folder / "plain") == ["maps.zarr"]
    assert report.notes()[-1] == "no pictures, as matplotlib is missing: pip install 'cellprep[plot]'"


@pytest.mark.parametrize(
    ("option", "outputs", "options"),
    [
        ("--to", {"to": ("coco",)}, {}),
        ("--overlay", {"overlay": True}, {}),
        ("--decoder", {}, {"decoder": "tops"}),
        ("--min-area", {}, {"min_area": 0}),
    ],
    ids=str,
)
def test_a_dn_alone_is_not_asked_for_instances(folder, option, outputs, options):
    outputs, options = OutputOptions(**outputs), PredictionOptions(**options)
    with pytest.raises(UsageError, match=f"{option} needs instances, which a dn alone does not predict"):
        predict(
            folder / "images", None, Bundle(weights("dn")), masks=folder / "masks", outputs=outputs, options=options
        )


# --- defaults


@pytest.fixture
def runs(folder, monkeypatch):
    """The folders of three runs, next to their store."""
    monkeypatch.chdir(folder)
    for name in ("dn", "wtn", "semseg"):
        run = folder / "runs" / name
        run.mkdir(parents=True)
        figures = {"epoch": 7.0, "train_loss": 2.0, "val_loss": 0.25, "val_angle": 12.5}
        save_weights(run / "best.safetensors", replace(weights(name), training={"figures": figures}))
        (run / "run.json").write_text(json.dumps({"train_images": ["a"], "validation_images": ["b"]}))
    return folder / "runs"


def test_without_images_those_that_the_run_was_validated_on(runs, cli):
    result = cli("predict", "--weights", "runs/dn")
    assert result.exit_code == 0, result.stderr
    assert result.stderr.splitlines()[:4] == [
        "1 image on cpu, float32, to predictions",
        "images: 1 image of data.zarr that runs/dn was validated on",
        "masks: from data.zarr, as there is no semantic network",
        "predictions: vectors of 1 image, no instances (on cpu, float32)",
    ]
    assert names_in(Path("predictions")) == ["b.png", "maps.zarr"]
    Path("data.zarr").rename("other.zarr")
    result = cli("predict", "--weights", "runs/dn")
    assert result.exit_code == 2
    assert result.stderr == (
        "error: there is no image to predict, and no store data.zarr: give image files, folders of them or a store, "
        "or --data; at hand: other.zarr\n"
    )
    result = cli("predict", "--weights", "runs", "--data", "other.zarr", "--to", "coco")
    assert result.exit_code == 0, result.stderr
    _, first, second, *_ = result.stderr.splitlines()
    assert first.endswith("of other.zarr that runs/dn, runs/semseg and runs/wtn were validated on")
    assert second.startswith("predictions-2: 1 image, ")
    (Path("runs/dn/run.json")).write_text('{"validation_images": ["c"]}')
    result = cli("predict", "--weights", "runs/dn", "--data", "other.zarr")
    assert result.stderr.startswith("error: other.zarr does not contain c, which runs/dn was validated on: give ")


def test_without_images_and_runs_all_of_the_store(folder, all_knowing, monkeypatch):
    monkeypatch.chdir(folder)
    report = predict(weights=all_knowing, options=QUIET)
    assert report.chosen == ["images: all 2 images of data.zarr"]
    assert (report.out, report.images) == ("predictions", 2)


def test_what_may_tell_the_mask_is_named(runs, cli):
    result = cli("predict", "--weights", "runs/dn", "images")
    assert result.exit_code == 2
    assert result.stderr.endswith("a semseg network; at hand: --semseg-weights runs/semseg, --data data.zarr\n")


@pytest.mark.parametrize("command", ["predict", "bundle"])
@pytest.mark.parametrize("more", [(), ("--out", "x")], ids=["last", "before another"])
def test_weights_without_a_name_tells_those_at_hand(runs, cli, command, more):
    result = cli(command, "--weights", *more)
    assert result.exit_code == 2
    first, _, *rows = result.stderr.splitlines()
    assert first == "error: --weights needs a value; available weights:"
    found = [re.split(r"  +", row) for row in rows]
    assert [row[:-1] for row in found[:2]] == [
        ["runs/dn", "dn", "7", "angle 12.5, loss 0.25"],
        ["runs/semseg", "semseg", "7", "angle 12.5, loss 0.25"],
    ]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d \d\d:\d\d", found[0][-1])
    assert [*found[-2:]] == [[name, "dn, semseg, wtn", "comes with the package"] for name in ("nuclei", "phase")]


@pytest.mark.parametrize("why", ["no mask", "too small", "no energy"])
def test_no_cell_at_all_is_explained(folder, oracles, targets, why):
    options = PredictionOptions(quiet=True, min_area=10**6 if why == "too small" else 0)
    if why == "no mask":
        for path in (folder / "masks").iterdir():
            tifffile.imwrite(path, np.zeros((33, 50), np.uint8))
    if why == "no energy":
        oracles = Bundle(Weights(Oracle("wn", {**targets, "energy": 0 * targets["energy"]}), NORMALISATION))
    report = predict([folder / "images"], folder / "out", oracles, masks=folder / "masks", options=options)
    words = {
        "no mask": "the masks are empty",
        "too small": "smaller than --min-area",
        "no energy": "energy is too low",
    }
    assert words[why] in report.notes()[-1]


def test_paths_may_be_texts(folder, monkeypatch):
    monkeypatch.chdir(folder)
    save_weights("wn", weights("wn"))
    assert load_weights("wn").settings.name == "wn"
    save_bundle("bundle", load_bundle("wn"))
    outputs = OutputOptions(maps="maps")
    assert not predict("images/*.png", "out", "bundle", masks="masks", outputs=outputs, options=QUIET).errors()
    assert not predict(["data.zarr"], "more", ["bundle"], data="data.zarr", options=QUIET).errors()
    save_weights("semseg", weights("semseg", base_channels=1))
    assert not predict(["images"], "last", "wn", semseg_weights="semseg", options=QUIET).errors()
    network = build_network(NetworkSettings("dn", base_channels=64), seed=0)
    with pytest.raises(WeightsError, match="wn"):
        load_vgg16(network, "wn")
    trained = train(
        open_store("data.zarr"),
        TrainOptions("semseg", out="run", epochs=1, base_channels=1, crop=32, workers=0, quiet=True),
    )
    assert trained.out
    assert load_bundle(["wn"], "run").semseg


# --- the command


@pytest.fixture
def files(folder):
    save_weights(folder / "wn.safetensors", weights("wn"))
    save_weights(folder / "semseg.safetensors", weights("semseg"))
    return folder


def test_the_commands_bundle_and_predict(files, cli):
    out, bundle = files / "out", files / "cells.safetensors"
    parts = ("--weights", files / "wn.safetensors", "--semseg-weights", files / "semseg.safetensors")
    result = cli("bundle", *parts, "--half", "--out", bundle)
    assert result.exit_code == 0
    assert result.stderr.startswith(f"{bundle}: wn, semseg, 0.")
    result = cli("predict", "--weights", bundle, files / "images", "--out", out, "--to", "coco", "--to", "label-tiff")
    assert result.exit_code == 0, result.stderr
    assert [*output(out)] == ["a.tif", "b.tif", "coco.json"]
    for more, kept in (([], 0), (["--min-area", 0], 1)):
        place = files / f"out{kept}"
        huge = files / "huge.safetensors"
        tuned = ("--decoder", "tops", "--decoder-option", "depth=2", "--decoder-option", "ratio=0.5")
        assert cli("bundle", *parts, "--min-area", 10**6, *tuned, "--out", huge, "--overwrite").exit_code == 0
        assert load_bundle(huge).decoding == Decoding("tops", 10**6, {"depth": 2, "ratio": 0.5})
        result = cli("predict", "--weights", huge, files / "images", "--out", place, *more)
        assert ("more too small, 2 images without cells" in result.stderr) == (not kept)
        assert (tifffile.imread(place / "a.tif").max() > 0) == kept
    (files / "images" / "c.png").write_bytes(b"")
    result = cli("predict", *parts, files / "images", "--out", files / "again", "--quiet")
    assert result.exit_code == 1
    assert result.stderr == f"error: 1 of 3 images failed:\n  c: {files / 'images' / 'c.png'} is empty\n"


@pytest.mark.parametrize(
    ("more", "problem"),
    [
        ([], "give --semseg-weights, --masks or --data, or a bundle with a semseg network"),
        (["--masks", "masks", "--data", "data.zarr"], "give only one of them"),
        (["--masks", "masks", "--decoder-option", "level=2"], "decoder walls has no option 'level': its options are"),
        (["--masks", "masks", "--to", "png"], "output format 'png' is unknown"),
        (["--masks", "masks", "--tile-size", "100"], "tile size 100 is too small"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) else "",
)
def test_wrong_use_is_told_in_a_line(files, cli, monkeypatch, more, problem):
    monkeypatch.chdir(files)
    result = cli("predict", "--weights", "wn.safetensors", "images", "--out", "out", *more)
    assert result.exit_code == 2
    assert problem in result.stderr
    assert result.stderr.count("\n") == 1
    assert not (files / "out").exists()


def test_without_torch_the_extra_is_named(cli, monkeypatch):
    monkeypatch.setitem(sys.modules, "safetensors", None)
    for command in (["predict", "x.png"], ["bundle"]):
        result = cli(*command, "--weights", "wn", "--out", "out")
        assert result.exit_code == 1
        assert result.stderr == f"error: cellprep {command[0]} needs safetensors: pip install 'cellprep[train]'\n"
