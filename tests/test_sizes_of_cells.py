"""Cells of other sizes than the training cells: weights of shrunk images, and the diameters of cells."""

import json
from dataclasses import replace

import cv2
import numpy as np
import pytest
import tifffile
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st

from cellprep import build_targets, open_source, open_store
from cellprep.commands.demo import write_nuclei
from cellprep.core.cells import resolve_overlaps
from cellprep.core.scores import score_image
from cellprep.core.shrinking import middles, shrink_image, shrink_pixels
from cellprep.core.targets import Recipe
from cellprep.errors import UsageError
from cellprep.learn import (
    Bundle,
    NetworkSettings,
    Normalisation,
    Weights,
    build_network,
    load_bundle,
    predict,
    save_bundle,
)
from cellprep.learn.appearance import AppearanceRange
from cellprep.learn.prediction import diameter
from cellprep.learn.prediction.inputs import find_images
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.scaling import Scale
from cellprep.learn.settings import Decoding
from cellprep.learn.training.first import Origin, compare_sizes
from cellprep.workflows.finetune import finetune

LOOKS = AppearanceRange((0.1, 0.3), (0.0, 0.1), (0.2, 0.5), (5.0, 20.0))


def weights(name="wn", shrink=2, **more):
    network = build_network(NetworkSettings(name, base_channels=1), seed=0)
    return Weights(network, Normalisation("dataset", (0,), (100,)), Recipe(shrink=shrink), **more)


def predictor(parts, **options):
    return Predictor(Bundle(*parts), PredictionOptions(quiet=True, **options))


def test_networks_see_images_as_the_store_had_them(tmp_path):
    rng = np.random.default_rng(0)
    for name, image in (("labels", rng.integers(0, 3, (31, 40))), ("images", rng.integers(0, 255, (31, 40)))):
        (tmp_path / name).mkdir()
        tifffile.imwrite(tmp_path / name / "a.tif", image.astype(np.uint8))
    places = tmp_path / "labels", tmp_path / "s.zarr"
    build_targets(*places, images=tmp_path / "images", shrink=2, jobs=1, quiet=True)
    (of_file,), (of_store,) = (find_images([tmp_path / name]).images for name in ("images", "s.zarr"))
    known = predictor([weights(pixel_size=0.5)])
    for sides in (None, (0.25, 0.25)):
        scale = known.scale(of_file.load(), sides, of_file.shrunk)
        assert scale == Scale((31, 40), (16, 20), 2)
        np.testing.assert_array_equal(scale.image(of_file.load()), of_store.load())
        semseg = open_store(tmp_path / "s.zarr")["a"]["labels"]
        np.testing.assert_array_equal(scale.classes_of(tifffile.imread(tmp_path / "labels/a.tif")), semseg)
    assert known.scale(of_store.load(), None, of_store.shrunk) is None
    assert known.scale(of_file.load(), (0.5, 0.5)) is None
    assert known.scale(of_file.load(), (1.0, 1.0)).seen == (62, 80)
    quarter = predictor([weights(shrink=4)])
    assert quarter.scale(of_store.load(), None, of_store.shrunk) == Scale((16, 20), (8, 10), 2)
    assert predictor([weights(shrink=1)]).scale(of_store.load(), None, of_store.shrunk) is None
    with pytest.raises(UsageError, match="images of other sizes: wn at 1/2 of their size, semseg at full size"):
        Bundle(weights(), semseg=weights("semseg", 1))


@given(masks(max_side=9), st.sampled_from([3, 5]), st.integers(0, 4), st.integers(0, 4))
def test_labels_come_back_where_they_were(cells, by, y, x):
    """The pixel in the middle of each whole block has the label that was seen there, whatever the last blocks lack."""
    labels = np.zeros(cells.shape[1:], np.uint16)
    for number, cell in enumerate(cells, start=1):
        labels[cell] = number
    shape = by * labels.shape[0] - min(y, by - 1), by * labels.shape[1] - min(x, by - 1)
    scale = Scale.of(shape, (1.0, 1.0), by, by)
    assert scale == Scale(shape, labels.shape, by)
    found, kept = scale.labels(labels)
    assert found.shape == shape
    rows, columns = (middles(size, by)[: size // by] for size in shape)
    seen = np.append(0, kept)[found[np.ix_(rows, columns)]]
    np.testing.assert_array_equal(seen, labels[: len(rows), : len(columns)])


def test_a_diameter_is_a_scale():
    bundle = [weights(appearance=LOOKS)]
    assert predictor(bundle).bundle.diameter == 10  # the middle of 5 and 20
    image = np.zeros((1, 60, 80))
    assert predictor(bundle, diameter=5).scale(image, (9, 9)).seen == (120, 160)
    assert predictor(bundle, diameter="20").scale(image, None) == Scale((60, 80), (30, 40), 2)
    kept = replace(LOOKS, median_diameter=8.0)
    assert predictor([weights(appearance=kept)], diameter=8).scale(image, None) is None
    with pytest.raises(UsageError, match="the weights do not have the diameter of"):
        predictor([weights()], diameter=5)
    for wrong in ("large", -1, float("nan")):
        with pytest.raises(UsageError, match="diameter"):
            PredictionOptions(diameter=wrong)
    with pytest.raises(UsageError, match="give only one of them"):
        PredictionOptions(diameter=5, pixel_size=0.5)


@pytest.mark.parametrize(
    ("side", "count", "found", "seen"),
    [(18, 12, 40.6, (30, 39)), (9, 12, None, None), (18, 9, None, None)],
    ids=["large", "as learned", "few"],
)
def test_a_first_look_tells_the_scale(monkeypatch, side, count, found, seen):
    """Squares at half of the image's size, and weights that were trained on cells with a diameter of 10 pixels."""
    labels = np.zeros((120, 160), int)
    for k in range(count):
        y, x = 30 * (k // 4), 30 * (k % 4)
        labels[y : y + side, x : x + side] = k + 1
    monkeypatch.setattr(diameter, "find_instances", lambda maps, decoding: (labels, 0))
    looking = predictor([weights(appearance=LOOKS)], diameter="auto")
    monkeypatch.setattr(Predictor, "look", lambda self, image, classes, scale, types, **keep: "maps")
    image = np.zeros((1, 120, 158))
    scale = looking.scale(image, None)
    first = diameter.look_first(looking, image, None, scale)
    if seen:
        assert (round(first.diameter, 1), first.scale.seen, first.maps) == (found, seen, None)
    else:
        assert (first.scale, first.maps, first.diameter is None) == (scale, "maps", count < 10)


def test_nuclei_that_are_made_smaller_are_found_again(tmp_path):
    csv = write_nuclei(tmp_path, count=1, shape=(256, 320))
    (record,) = open_source(csv).images()
    pixels = cv2.imread(str(tmp_path / "nuclei/nuclei-1.png"), cv2.IMREAD_UNCHANGED)
    cv2.imwrite(str(tmp_path / "a.png"), shrink_image(pixels, 3))
    truth = shrink_pixels(resolve_overlaps(record.load().runs).labels, 3)
    scores, notes = {}, {}
    for asked in (None, 7, "auto"):
        out = tmp_path / str(asked)
        report = predict([tmp_path / "a.png"], out, quiet=True, **({"diameter": asked} if asked else {}))
        scores[asked] = score_image(tifffile.imread(out / "a.tif"), truth).kaggle_precision
        notes[asked] = report.notes()
    assert min(scores[7], scores["auto"]) > scores[None] + 0.2, scores
    learned = "the weights were trained on cells with a median diameter of 24.9 pixels; "
    assert notes[7][0] == f"{learned}1 image scaled so that cells of 7 pixels have this size:"
    assert notes["auto"][0] == f"{learned}estimated for 1 image:"
    assert " pixels, 86 x 107 pixels seen as" in notes["auto"][1]
    assert 6 < json.loads((out / "cellprep-prediction.json").read_text())["images"]["a"]["diameter"] < 8
    assert load_bundle("nuclei").diameter == pytest.approx(24.9, abs=0.1)


def test_a_training_says_if_the_weights_know_other_sizes():
    def told(diameter, learned, shrink=1):
        appearance = replace(LOOKS, median_diameter=learned)
        return compare_sizes([Origin("phase", weights(appearance=appearance), "")], diameter, shrink)

    begins = "the cells have a median diameter of 51 pixels, but the wn of phase was trained on cells of 25 pixels"
    closest = "; they are closest to this size in a store built "
    assert told(51.0, 25.0) == [f"{begins}{closest}with --shrink 2"]
    advice = {(45.0, 2): "with --shrink 4", (45.0, 3): "with --shrink 5", (999.0, 1): "with --shrink 8"}
    for (size, shrink), store in {**advice, (12.0, 2): "without --shrink"}.items():
        (line,) = told(size, 25.0, shrink)
        assert line.endswith(closest + store), line
    assert told(12.0, 25.0)[0].endswith("25 pixels")  # images cannot be enlarged
    assert told(37.0, 25.0) == told(17.0, 25.0) == told(None, 25.0) == told(51.0, None) == []


def test_networks_of_shrunk_images_are_fine_tuned_at_full_size(tmp_path, capfd):
    csv = write_nuclei(tmp_path, count=2, shape=(96, 96))
    build_targets(csv, store := tmp_path / "s.zarr", images=tmp_path / "nuclei", jobs=1, quiet=True)
    parts = [weights(name, appearance=replace(LOOKS, median_diameter=9.0)) for name in ("dn", "wtn", "semseg")]
    first = Bundle(*(replace(part, decoding=Decoding("tops", 30, {"depth": 2})) for part in parts))
    save_bundle(tmp_path / "half.safetensors", first)
    how = {"epochs": 1, "samples_per_epoch": 1, "crop": 64, "workers": 0, "device": "cpu"}
    report = finetune(store, tmp_path / "run", tmp_path / "half.safetensors", **how)
    assert report.before and report.after and not report.problems
    tuned = load_bundle([tmp_path / "run" / name for name in ("dn", "wtn")], tmp_path / "run" / "semseg")
    assert (tuned.shrink, load_bundle(report.bundle).decoding) == (1, first.decoding)
    assert "half.safetensors was trained on cells of 9 pixels; they are closest" in capfd.readouterr().err
    again = finetune(store, tmp_path / "run", resume=True, device="cpu", quiet=True)
    assert again.after == report.after
    message = "has its images at full size, but the networks that --only leaves unchanged see them at 1/2 of their size"
    with pytest.raises(UsageError, match=message):
        finetune(store, tmp_path / "tuned", tmp_path / "half.safetensors", only=["semseg"], **how)
