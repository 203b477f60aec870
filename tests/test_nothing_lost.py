"""All images and cells of the input are in the output or named as failures, whatever the faults."""

import csv
import json
from collections import Counter

import cv2
import numpy as np
import pytest
import tifffile
from conftest import HEADER, examples
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from stores import noise

from cellprep import (
    BuildOptions,
    CheckOptions,
    build_targets,
    check_source,
    evaluate,
    export_labels,
    open_prediction,
    open_source,
    open_store,
    roundtrip,
    split_source,
)
from cellprep.commands.report import ReportOptions, report_dataset
from cellprep.commands.roundtrip import RoundtripOptions
from cellprep.commands.split import SplitOptions

WIDTH, HEIGHT = 9, 7
GOOD = [" ".join(f"{WIDTH * (y + row) + x + 1} 3" for row in range(3)) for y in range(0, 5, 2) for x in range(0, 7, 3)]
FAULTY = ["1", "0 3", "63 2", "5 x", "3 -1", "1 2 2 2"]
ROWS = st.lists(
    st.tuples(st.sampled_from("abcdef"), st.one_of(*[st.sampled_from(GOOD)] * 8, st.sampled_from(FAULTY))),
    min_size=1,
    max_size=20,
)
few = settings(max_examples=examples(20), phases=[Phase.generate], suppress_health_check=list(HealthCheck))


@pytest.fixture
def write(tmp_path_factory):
    def write(rows):
        folder = tmp_path_factory.mktemp("rows")
        lines = [f"{image},{text},{WIDTH},{HEIGHT},x" for image, text in rows]
        (folder / "train.csv").write_text("\n".join([HEADER, *lines]) + "\n")
        return folder

    return write


def cells_of(rows):
    return Counter(image for image, _ in rows)


def build(folder, exclude=None):
    options = BuildOptions(exclude=exclude, jobs=1, quiet=True)
    return build_targets(open_source(folder / "train.csv"), folder / "s.zarr", options)


@given(rows=ROWS)
@few
def test_checks_and_reports_name_every_image(write, rows):
    folder, ids = write(rows), {image for image, _ in rows}
    check = check_source(open_source(folder / "train.csv"), CheckOptions(jobs=1, quiet=True))
    assert {image.image_id for image in check.images} == ids
    assert check.annotations == Counter({"x": cells_of(rows).total()})
    report = report_dataset(open_source(folder / "train.csv"), folder / "r.html", ReportOptions(jobs=1, quiet=True))
    assert report.images == len(ids)


@given(rows=ROWS, left_out=st.integers(0, 19))
@few
def test_builds_name_what_they_leave_out(write, rows, left_out):
    folder, cells = write(rows), cells_of(rows)
    number, (image, _) = list(enumerate(rows, start=2))[left_out % len(rows)]
    (folder / "flags.csv").write_text(f"image,row\n{image},{number}\n")
    cells[image] -= 1
    report, store = build(folder, folder / "flags.csv"), open_store(folder / "s.zarr")
    bad = {name for place, (name, cell) in enumerate(rows, start=2) if cell in FAULTY and place != number}
    assert set(report.failures) == bad
    assert set(store) == {name for name, _ in rows} - bad
    assert {name: store[name].attributes["cells"] for name in store} == {name: cells[name] for name in store}
    told = [row for name in store for row in store[name].attributes["excluded"]]
    assert told == ([number] if image in store else [])


@given(rows=ROWS, damage=st.booleans())
@few
def test_exports_and_scores_name_what_they_lack(write, rows, damage):
    good = [(image, text) for image, text in rows if text not in FAULTY] or [("a", GOOD[0])]
    folder, cells = write(good), cells_of(good)
    build(folder)
    store = open_store(folder / "s.zarr")
    victims = {next(iter(store))} if damage and len(store) > 1 else set()
    for name in victims:
        (store.path / name / "labels/instances/0/c/0/0").unlink()
    whole = sum(cells[name] for name in store if name not in victims)
    exported = export_labels(store, "kaggle-csv", folder / "out.csv", jobs=1, quiet=True)
    assert set(exported.failures) == victims
    assert exported.images == len(store) - len(victims)
    assert exported.cells + sum(map(len, exported.hidden.values())) == whole
    with (folder / "out.csv").open(newline="") as file:
        assert sum(bool(row["annotation"]) for row in csv.DictReader(file)) == exported.cells
    truth = open_source(folder / "s.zarr")
    scored = evaluate(open_prediction(folder / "s.zarr", truth), truth)
    assert set(scored.failures) == victims
    assert sum(score.truth + score.blank_truth for _, score in scored.scored) == whole
    decoded = roundtrip(store, RoundtripOptions(decoders=("walls",), jobs=1, quiet=True)).decoders["walls"]
    assert set(decoded.failures) == victims
    assert sum(score.truth for _, score in decoded.scored) == exported.cells


@given(rows=ROWS)
@few
def test_folds_hold_every_image_but_those_named(write, rows):
    rows = [*rows, *((name, GOOD[0]) for name in "xyz")]  # else there may be too few to split
    split = split_source(open_source(write(rows) / "train.csv"), None, SplitOptions(folds=2, jobs=1, quiet=True))
    in_folds = {image.image_id: image.cells for image in split.images}
    named = [*in_folds, *split.failures, *split.annotated_twice]
    assert sorted(named) == sorted({image for image, _ in rows})
    assert set(split.failures) == {image for image, text in rows if text in FAULTY}
    cells = cells_of(rows)
    assert in_folds == {name: cells[name] for name in in_folds}


@given(kinds=st.lists(st.sampled_from(["good", "damaged", "no mask", "other size"]), min_size=1, max_size=6))
@settings(few, max_examples=examples(8))
def test_predictions_hold_every_image_but_those_named(tmp_path_factory, kinds):
    from cellprep.learn import Bundle, NetworkSettings, Normalisation, Weights, build_network, predict

    folder = tmp_path_factory.mktemp("predict")
    for name in ("images", "masks"):
        (folder / name).mkdir()
    cv2.imwrite(str(folder / "masks" / "spare.png"), np.ones((9, 9), np.uint8))
    for place, kind in enumerate(kinds):
        image = folder / "images" / f"{place}.png"
        cv2.imwrite(str(image), noise((33, 40), place))
        if kind == "damaged":
            image.write_bytes(image.read_bytes()[:60])
        if kind != "no mask":
            mask = np.zeros((30 if kind == "other size" else 33, 40), np.uint8)
            mask[2:20, 3:15] = mask[5:25, 20:39] = 1
            cv2.imwrite(str(folder / "masks" / f"{place}.png"), mask)
    network = build_network(NetworkSettings("wn", base_channels=1, levels=3), seed=0)
    report = predict(
        [folder / "images"],
        folder / "out",
        Bundle(Weights(network, Normalisation("percentile", (1,), (99.8,)))),
        masks=folder / "masks",
        to=("label-tiff", "coco"),
        device="cpu",
        quiet=True,
    )
    good = {str(place) for place, kind in enumerate(kinds) if kind == "good"}
    assert set(report.failures) == {str(place) for place in range(len(kinds))} - good
    assert (report.total, report.images) == (len(kinds), len(good))
    if good:
        written = {path.stem: tifffile.imread(path) for path in (folder / "out").rglob("*.tif")}
        assert written.keys() == good
        assert sum(int(labels.max()) for labels in written.values()) == report.cells
        document = json.loads(next((folder / "out").rglob("*.json")).read_text())
        assert (len(document["images"]), len(document["annotations"])) == (len(good), report.cells)
