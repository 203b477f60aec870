"""Predictions with classes of cells: outputs, selection, and decodings of single classes."""

import json

import cv2
import numpy as np
import pandas as pd
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from cellprep import Recipe, cells_from_labels, compute_targets, evaluate, measure, open_source
from cellprep.core.colours import type_colours
from cellprep.errors import UsageError
from cellprep.learn import (
    Bundle,
    Decoding,
    Network,
    Normalisation,
    Weights,
    load_bundle,
    predict,
    save_bundle,
    segment,
)
from cellprep.learn.networks import NetworkSettings
from cellprep.learn.networks.network import build_network
from cellprep.learn.prediction.bundle import with_decoding
from cellprep.learn.prediction.instances import find_typed_instances, type_instances
from cellprep.learn.prediction.maps import PredictedMaps, decode_maps, find_instances
from cellprep.learn.prediction.options import PredictionOptions
from cellprep.learn.prediction.overlay import draw_overlay
from cellprep.learn.prediction.tiles import cut_tiles, see
from cellprep.learn.settings import OfClass, parse_by_class

NAMES = ("round", "a, long", "rare")
TYPES = [0, 1, 0, 1, 1]
KNOWN = Normalisation("percentile", (1,), (99.8,))


@pytest.fixture(scope="module")
def labels():
    image = np.zeros((33, 50), np.uint16)
    image[0:12, 3:15], image[0:12, 15:30] = 1, 2
    image[16:30, 2:20], image[16:30, 20:34], image[20:33, 38:50] = 3, 4, 5
    return image


class Oracle(Network):
    """A network that knows the true maps of one image; the classes it is sure of by 3/4 or so."""

    def __init__(self, name, labels):
        super().__init__(NetworkSettings(name, base_channels=1, classes=NAMES if name == "semseg" else ()))
        targets = compute_targets(cells_from_labels(labels), Recipe())
        window = cut_tiles(labels.shape, 16, 16, 1024)[0].window
        types = np.append(0, TYPES)[labels]
        classes = np.stack([types == number for number in range(len(NAMES))])
        arrays = [np.moveaxis(targets["semseg"], 2, 0), np.moveaxis(targets["uvec"], 2, 0), classes]
        self.semseg, self.uvec, self.classes = (torch.from_numpy(see(array, window))[None].float() for array in arrays)
        energy = torch.from_numpy(see(targets["energy"], window)).long()
        self.levels = torch.nn.functional.one_hot(energy, 17).movedim(2, 0)[None].float()

    def forward(self, image, mask=None):
        if self.settings.name == "semseg":
            return 9 * self.semseg, 2 * self.classes
        return self.uvec, 9 * self.levels


@pytest.fixture
def bundle(labels):
    return Bundle(Weights(Oracle("wn", labels), KNOWN), None, Weights(Oracle("semseg", labels), KNOWN))


@pytest.fixture
def folder(tmp_path, labels):
    """Images of the one that the networks know; and the truth, in which a cell is of another class."""
    (tmp_path / "images").mkdir()
    noise = np.random.default_rng(0).integers(0, 200, labels.shape).astype(np.uint8)
    rows = []
    for name in ("one", "two"):
        Image.fromarray(noise).save(tmp_path / "images" / f"{name}.png")
        for number, kind in enumerate(TYPES, start=1):
            flat = np.flatnonzero((labels == number).ravel())
            starts = flat[np.flatnonzero(np.diff(flat, prepend=-9) != 1)]
            lengths = np.diff(np.append(np.flatnonzero(np.diff(flat, prepend=-9) != 1), len(flat)))
            text = " ".join(f"{start + 1} {length}" for start, length in zip(starts, lengths, strict=True))
            kind = 1 if (name, number) == ("two", 1) else kind  # noqa: PLW2901
            rows.append({"id": name, "annotation": text, "width": 50, "height": 33, "cell_type": NAMES[kind]})
    pd.DataFrame(rows).to_csv(tmp_path / "truth.csv", index=False)
    return tmp_path


def run(bundle, folder, **options):
    return predict(folder / "images", folder / "out", bundle, device="cpu", quiet=True, **options)


# --- what is written


@pytest.mark.parametrize("to", ["label-tiff", "coco", "coco-polygons", "geojson", "imagej-roi", "ome-zarr", "labelme"])
def test_every_format_tells_the_classes(bundle, folder, to):
    run(bundle, folder, to=to)
    out = folder / "out" / (f"{to}.json" if "coco" in to else "")
    kwargs = {"images": folder / "images"} if to in ("geojson", "imagej-roi") else {}
    report = evaluate(out, folder / "truth.csv", by_class=True, jobs=1, quiet=True, **kwargs)
    confusion = report.class_scores["confusion"]
    assert confusion == {"classes": ["a, long", "round"], "table": [[6, 1, 0], [0, 3, 0], [0, 0, 0]]}
    assert report.class_scores["by_class"]["round"]["f1"]["0.50"] == pytest.approx(6 / 7)


def test_classes_and_their_probabilities_are_in_tables(bundle, folder, cli):
    report = run(bundle, folder)
    likely = np.exp(2) / (np.exp(2) + 2)
    table = pd.read_csv(folder / "out" / "one_classes.csv")
    assert table["class"].tolist() == [NAMES[kind] for kind in TYPES]
    assert table["probability"].to_numpy() == pytest.approx(likely, abs=2 / 255)
    measured = measure(folder / "out", jobs=1, quiet=True, properties=["area"])
    assert measured["cell_type"].tolist() == 2 * table["class"].tolist()
    assert measured["class_probability"].to_numpy() == pytest.approx(likely, abs=2 / 255)
    images = pd.read_csv(folder / "out" / "cellprep-images.csv")
    assert images.columns.tolist()[-3:] == [f"cells_{name}" for name in NAMES]
    assert images[["image", "cells", "class", "share"]].to_numpy().tolist() == [
        ["one", 5, "a, long", 0.6],
        ["two", 5, "a, long", 0.6],
    ]
    notes = "\n".join(report.notes())
    assert "cells by class: 4 round, 6 a, long, 0 rare" in notes
    assert "images by the class of most of their cells: 2 a, long;" in notes
    source = open_source(folder / "out")
    assert not source.notes  # the tables are not reported as skipped
    (folder / "out" / "one_classes.csv").write_text("label,class\n1,a\n1,b\n")
    with pytest.raises(Exception, match="row 3: label 1 already has a class"):
        measure(folder / "out", jobs=1, quiet=True, only=["one"])


def test_formats_hold_the_probability_of_a_class(bundle, folder):
    run(bundle, folder, to=["coco", "geojson", "imagej-roi", "ome-zarr"])
    coco = json.loads((folder / "out" / "coco.json").read_text())
    assert [kind["name"] for kind in coco["categories"]] == sorted(NAMES)
    feature = json.loads((folder / "out" / "geojson" / "one.geojson").read_text())["features"][0]["properties"]
    assert feature["classification"] == {"name": "round"}
    zarr = json.loads((folder / "out/ome-zarr/one.ome.zarr/labels/instances/zarr.json").read_text())
    told = zarr["attributes"]["ome"]["image-label"]["properties"][0]
    values = [coco["annotations"][0]["category_score"], feature["measurements"]["Class probability"]]
    assert values == [told["class_probability"]] * 2


def test_some_classes_are_kept(bundle, folder):
    report = run(bundle, folder, classes=["round"], to=["label-tiff", "coco"])
    assert (report.cells, report.of_other_classes, report.left_out) == (4, 6, 0)
    assert "6 cells of other classes than --class removed" in report.notes()
    found = evaluate(folder / "out" / "coco.json", folder / "truth.csv", by_class=True, jobs=1, quiet=True)
    assert found.class_scores["confusion"]["table"][0] == [0, 1, 6]
    with pytest.raises(UsageError, match="class oval is unknown to these weights: use round, a, long, rare"):
        run(bundle, folder, classes=["round,oval"])
    with pytest.raises(UsageError, match="unknown to these weights: they have no classes of cells"):
        run(Bundle(bundle.vectors), folder, masks=folder / "truth.csv", classes=["round"])


def test_outlines_have_the_colours_of_classes_and_a_legend(labels):
    image = np.full((1, *labels.shape), 7.0)
    picture = draw_overlay(image, labels, TYPES, NAMES)
    height = len(labels)
    assert picture.shape[1:] == (50, 3)
    assert len(picture) > height + 30  # a row for each name, of which no two fit into one
    colours = type_colours(3)
    for number, kind in enumerate(TYPES, start=1):
        rim = picture[:height][
            (labels == number) & (cv2.erode((labels == number).astype(np.uint8), np.ones((3, 3))) == 0)
        ]
        assert {tuple(one) for one in rim.tolist()} <= {tuple(colours[kind].tolist()), (0, 0, 0)}
    for colour in colours:
        assert (picture[height:] == colour).all(-1).any()


# --- each class in its own way


def slow(maps, decoding):
    """Return what `find_typed_instances` does, by sets of pixels."""
    settings = []
    for name in maps.types:
        if all(decoding.of(name).key != other.key for other in settings):
            settings.append(decoding.of(name))
    claims = []
    for order, setting in enumerate(settings):
        found = decode_maps(maps, setting)
        for number in range(1, found.max() + 1):
            inside = found == number
            means = [
                float(of_class[inside].sum(dtype=float) / inside.sum() / 255) for of_class in maps.type_probabilities
            ]
            kind = means.index(max(means))
            if decoding.of(maps.types[kind]).key == setting.key:
                pixels = {tuple(place) for place in np.argwhere(inside).tolist()}
                claims.append((-means[kind], order, number, kind, pixels, setting.min_area))
    taken, kept = set(), []
    for *_, kind, pixels, least in sorted(claims, key=lambda claim: claim[:3]):
        free = pixels - taken
        if 2 * len(free) >= len(pixels) and len(free) >= least:
            taken |= free
            kept.append((min(free), kind, free))
    labels, types = np.zeros(maps.shape, int), []
    for number, (_, kind, free) in enumerate(sorted(kept, key=lambda one: one[0]), start=1):
        labels[tuple(np.array(sorted(free)).T)] = number
        types.append(kind)
    return labels, types, len(claims) - len(kept)


@settings(max_examples=60, deadline=None)
@given(
    st.integers(0, 2**32 - 1),
    st.lists(st.sampled_from([1, 3, 5, 9]), min_size=3, max_size=3),
    st.lists(st.sampled_from([0, 3, 12]), min_size=3, max_size=3),
)
def test_classes_decoded_in_their_own_ways_are_those_of_a_slow_reference(seed, dilations, areas):
    rng = np.random.default_rng(seed)
    energy = cv2.resize(rng.integers(0, 4, (6, 7)).astype(np.uint8), (28, 24), interpolation=cv2.INTER_NEAREST)
    classes = np.where(energy > 0, 0, 2).astype(np.uint8)
    levels = cv2.resize(rng.integers(0, 3, (3, 6, 7)).astype(np.uint8)[0], (28, 24), interpolation=cv2.INTER_NEAREST)
    first = np.array([40, 100, 200], np.uint8)[levels]
    second = np.minimum(255 - first, rng.integers(0, 220, first.shape)).astype(np.uint8)
    probabilities = np.stack([first, second, 255 - first - second])
    maps = PredictedMaps(classes, True, energy, np.zeros(energy.shape, bool), None, None, NAMES, probabilities)
    ways = {
        name: OfClass(options={"dilation": dilation, "min_size": 0, "min_hole": 0}, min_area=area)
        for name, dilation, area in zip(NAMES, dilations, areas, strict=True)
    }
    decoding = Decoding("original", 0).changed(by_class=ways)
    found = find_typed_instances(maps, decoding)
    labels, types, left_out = slow(maps, decoding)
    np.testing.assert_array_equal(found.labels, labels)
    assert (found.types.tolist(), found.left_out) == (types, left_out)


def test_without_own_ways_nothing_changes(labels):
    energy = np.where(labels > 0, 2, 0).astype(np.uint8)
    probabilities = np.stack([np.full(labels.shape, value, np.uint8) for value in (100, 100, 55)])
    classes = np.where(labels > 0, 0, 2).astype(np.uint8)
    maps = PredictedMaps(classes, True, energy, np.zeros(labels.shape, bool), None, None, NAMES, probabilities)
    same = Decoding().changed(by_class={"rare": OfClass(min_area=20)})  # as all others
    for decoding in (Decoding(), same):
        found, plain = find_typed_instances(maps, decoding), find_instances(maps, Decoding())
        np.testing.assert_array_equal(found.labels, plain[0])
        assert found.labels.dtype == plain[0].dtype
        assert set(found.type_names) == {"round"}  # the first of equals
    nothing = type_instances(probabilities, np.zeros(labels.shape, np.uint16))
    assert [len(part) for part in nothing] == [0, 0]


def test_what_is_said_of_a_class_goes_before_and_is_kept_with_the_weights(tmp_path, bundle, labels):
    usual = Decoding("tops", 30, {"depth": 2})
    said = usual.changed(by_class=parse_by_class(["round:min_area=5", "a, long:decoder=walls"]))
    assert said.of("round") == Decoding("tops", 5, {"depth": 2})
    assert said.of("a, long") == Decoding("walls", 30)
    assert said.of("rare") == usual
    later = said.changed(options={"ratio": 0.5}, min_area=7)  # what is said of all goes before what weights say
    assert later.of("round") == Decoding("tops", 7, {"depth": 2, "ratio": 0.5})
    assert later.of("a, long") == Decoding("walls", 7)
    trained = [Weights(build_network(part.settings, seed=0), KNOWN) for part in bundle.parts]
    known = with_decoding(Bundle(trained[0], semseg=trained[1]), said)
    save_bundle(tmp_path / "b.safetensors", known)
    assert load_bundle(tmp_path / "b.safetensors").decoding == said
    # 150 pixels and less: cells 1 and 5 are of 144 and 156 pixels, 1 is round, 5 is not
    options = PredictionOptions(device="cpu", quiet=True, by_class=["round:min_area=150"])
    found = segment(np.zeros(labels.shape, np.uint8), bundle, options=options)
    assert found.max() == 4
    assert not found[:12, 3:15].any()


@pytest.mark.parametrize(
    ("texts", "problem"),
    [
        (["round=5"], "'round=5' is not a class, option and value: give CLASS:OPTION=VALUE"),
        (["round:min_area=-1"], "the minimum area of class round is -1"),
        (["round:depth=1", "round:depth=2"], "depth of class round is given twice"),
        (["oval:min_area=4"], "class oval is unknown to these weights: use round, a, long, rare"),
        (["round:depth=2"], "decoder walls has no option 'depth'"),
        (["round:decoder=x"], "decoder 'x' is unknown"),
    ],
)
def test_ways_that_cannot_be_are_refused(bundle, labels, texts, problem):
    with pytest.raises(Exception, match=problem):
        segment(np.zeros(labels.shape, np.uint8), bundle, device="cpu", by_class=texts)
