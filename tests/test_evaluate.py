"""The command evaluate: both sides in every format, visible errors, and pictures."""

import csv
import json
import sys

import numpy as np
import peer_scores as peers
import pytest
import tifffile
from conftest import tree
from PIL import Image

from cellprep import EvaluationOptions, evaluate, open_prediction, open_source, open_store
from cellprep.core.rle import encode_rle, parse_rle
from cellprep.errors import SourceError, UnpairedError

SHAPE = (20, 30)


def mask(*boxes):
    """Paint boxes (top, bottom, left, right), the last of each not included."""
    image = np.zeros(SHAPE, bool)
    for top, bottom, left, right in boxes:
        image[top:bottom, left:right] = True
    return image


# Two true cells that overlap; of the predicted ones, one has 60 of its 80 pixels, and one is false.
LARGE, SMALL = mask((2, 12, 2, 10)), mask((8, 12, 6, 16))
TRUTH = {"a": ([LARGE, SMALL], "round"), "b": ([mask((1, 5, 1, 5))], "long"), "c": ([], "long")}
FOUND = {"a": [mask((2, 12, 4, 10)), mask((15, 18, 15, 20))], "b": [mask((1, 5, 1, 5))], "c": []}
SCORES = {"a": [0.9, 0.3], "b": [0.8], "c": []}


def rows(image_id, masks, cell_type=""):
    texts = encode_rle(np.array(masks)) if masks else [""]
    return [f"{image_id},{text},{SHAPE[1]},{SHAPE[0]},{cell_type}" for text in texts]


@pytest.fixture
def truth(write_csv):
    return write_csv(*(row for name, (masks, kind) in TRUTH.items() for row in rows(name, masks, kind)))


@pytest.fixture
def found(write_csv):
    return write_csv(*(row for name, masks in FOUND.items() for row in rows(name, masks)), name="found.csv")


def write_labels(folder, found):
    folder.mkdir()
    for name, masks in found.items():
        labels = np.zeros(SHAPE, np.uint16)
        for number, one in enumerate(masks, start=1):
            labels[one] = number
        tifffile.imwrite(folder / f"{name}.tif", labels)
    return folder


def coco_annotation(name, one, **more):
    counts = peers.rle(one)["counts"].decode()
    return {"image_id": ord(name), "category_id": 1, "segmentation": {"size": list(SHAPE), "counts": counts}, **more}


def write_coco(path, cells, scores=None, crowds=()):
    named = [(name, one, 0) for name, masks in cells.items() for one in masks] + [(*crowd, 1) for crowd in crowds]
    annotations = [coco_annotation(name, one, id=k, iscrowd=crowd) for k, (name, one, crowd) in enumerate(named)]
    for annotation, score in zip(annotations, scores or [], strict=False):
        annotation["score"] = score
    images = [{"id": ord(name), "file_name": f"{name}.png", "width": SHAPE[1], "height": SHAPE[0]} for name in cells]
    content = {"images": images, "annotations": annotations, "categories": [{"id": 1, "name": "round"}]}
    path.write_text(json.dumps(content))
    return path


def scores_of(cli, *args):
    result = cli("evaluate", *args, "--json", "--jobs", 1)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def test_every_format_of_predictions_gives_the_same(cli, found, truth, tmp_path):
    labels = write_labels(tmp_path / "labels", FOUND)
    coco = write_coco(tmp_path / "found.json", FOUND)
    assert cli("build-targets", found, "--out", tmp_path / "s.zarr", "--quiet").exit_code == 0
    sides = [found, labels, coco, tmp_path / "s.zarr"]
    contents = [scores_of(cli, side, truth) for side in sides]
    for content in contents:
        assert {name: content[name] for name in ("overall", "by_cell_type", "images")} == {
            name: contents[0][name] for name in ("overall", "by_cell_type", "images")
        }
    overall = contents[0]["overall"]
    assert (overall["truth"], overall["predicted"], overall["missed"], overall["false"]) == (3, 3, 1, 1)
    # The image a has 1 of 3 at IoUs below 0.75, and none from there on, for Kaggle; b and c are perfect.
    assert overall["kaggle_map"] == pytest.approx((5 / 10 / 3 + 1 + 1) / 3)
    assert (overall["ap"]["0.75"], overall["ap"]["0.80"]) == (pytest.approx(2 / 4), pytest.approx(1 / 5))
    assert overall["pq"] == pytest.approx((0.75 + 1) / 3)
    assert overall["coco_ap"] is None
    assert contents[0]["by_cell_type"]["long"]["kaggle_map"] == 1
    assert contents[0]["images"] == 3


def test_truth_that_overlaps_is_scored_as_annotated(cli, truth, tmp_path):
    """Against a store of itself, where the large cell has lost what lies under the small one, as is said."""
    assert cli("build-targets", truth, "--out", tmp_path / "s.zarr", "--quiet").exit_code == 0
    as_annotated = scores_of(cli, tmp_path / "s.zarr", truth)["overall"]
    shared = (LARGE & SMALL).sum()
    assert as_annotated["pq"] == pytest.approx((1 - shared / LARGE.sum() + 1 + 1) / 3)
    result = cli("evaluate", tmp_path / "s.zarr", tmp_path / "s.zarr")
    assert "overlaps of the true cells were already resolved (smaller-on-top)" in result.stderr
    assert scores_of(cli, tmp_path / "s.zarr", tmp_path / "s.zarr")["overall"]["pq"] == 1


def coco_cases():
    return [
        (np.array(TRUTH[name][0], bool).reshape(-1, *SHAPE), np.array(FOUND[name]), np.array(SCORES[name]), None)
        for name in ("a", "b")
    ]


def test_coco_json_and_results_with_scores(cli, truth, tmp_path):
    scores = [score for values in SCORES.values() for score in values]
    predicted = write_coco(tmp_path / "found.json", FOUND, scores)
    true_coco = write_coco(tmp_path / "truth.json", {name: masks for name, (masks, _) in TRUTH.items()})
    results = tmp_path / "results.json"
    named = [(name, one, score) for name in FOUND for one, score in zip(FOUND[name], SCORES[name], strict=True)]
    results.write_text(json.dumps([coco_annotation(name, one, score=score) for name, one, score in named]))
    expected = pytest.approx(peers.coco(coco_cases()))
    for sides in ((predicted, truth), (predicted, true_coco), (results, true_coco)):
        overall = scores_of(cli, *sides)["overall"]
        assert (overall["coco_ap"], overall["coco_ap50"], overall["coco_ap75"]) == expected
    result = cli("evaluate", results, truth)
    assert result.exit_code == 1
    assert "has COCO results, which refer to images by the ids of a COCO JSON: give that as the truth" in result.stderr


def test_scores_of_some_cells_only_are_no_scores(cli, truth, tmp_path):
    predicted = write_coco(tmp_path / "found.json", FOUND, [0.9, None, 0.8])
    result = cli("evaluate", predicted, truth)
    assert "no COCO AP: cells without scores in 1 image, such as a\n" in result.stderr
    assert scores_of(cli, predicted, truth)["overall"]["coco_ap"] is None


def test_scores_follow_the_cells_that_are_kept(tmp_path):
    source = open_source(write_coco(tmp_path / "found.json", FOUND, [0.9, 0.3, 0.8]))
    record = next(iter(source.images()))
    assert record.load().scores == (0.9, 0.3)
    assert record.without([0]).load().scores == (0.3,)
    assert record.load().without(frozenset([0])).scores == (0.3,)
    assert (
        record.fingerprint() == next(iter(open_source(write_coco(tmp_path / "x.json", FOUND)).images())).fingerprint()
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[{]", "is not a file of COCO results: its JSON is broken"),
        (
            '[{"image_id": 97}]',
            "is not a file of COCO results: entry 1 needs image_id, category_id, segmentation and a number as score",
        ),
        (
            '[{"image_id": 97, "score": "high"}]',
            "is not a file of COCO results: entry 1 needs image_id, category_id, segmentation and",
        ),
    ],
)
def test_faulty_results(tmp_path, content, message):
    true_source = open_source(write_coco(tmp_path / "truth.json", FOUND))
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(SourceError, match=message):
        open_prediction(tmp_path / "results.json", true_source)


def test_regions_to_ignore_are_the_truths(cli, found, tmp_path):
    """The false cell of a lies in a crowd, which the prediction may not have of its own."""
    cells = {name: masks for name, (masks, _) in TRUTH.items()}
    crowd = ("a", mask((14, 20, 14, 30)))
    overall = scores_of(cli, found, write_coco(tmp_path / "truth.json", cells, crowds=[crowd]))["overall"]
    assert (overall["false"], overall["predicted"]) == (0, 2)
    result = cli("evaluate", found, tmp_path / "truth.json")
    assert "cells not scored, as they are in regions to ignore or have no pixels:\n  a: 1 predicted\n" in result.stderr
    mine = write_coco(tmp_path / "mine.json", {"a": FOUND["a"], "b": [], "c": []}, crowds=[crowd])
    result = cli("evaluate", mine, write_coco(tmp_path / "truth.json", cells))
    assert "regions to ignore have no effect in predictions: a\n" in result.stderr


def test_images_on_one_side_only_are_an_error(cli, found, truth, write_csv, tmp_path):
    fewer = write_csv(*rows("a", FOUND["a"]), *rows("z", []), name="fewer.csv")
    result = cli("evaluate", fewer, truth, "--json", "--out", tmp_path / "scores.csv")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "error: both sides need the same images, so nothing was scored; missing from the predictions: b, c; "
        "missing from the truth: z. An image without cells still needs an empty annotation, label image or entry; "
        "--common scores only the images that both sides have\n"
    )
    assert not (tmp_path / "scores.csv").exists()
    assert scores_of(cli, fewer, truth, "--image", "a")["images"] == 1
    with pytest.raises(UnpairedError) as caught:
        evaluate(open_source(fewer), open_source(truth), EvaluationOptions(only=("a", "b")))
    assert (caught.value.not_predicted, caught.value.not_true) == (["b"], [])


def test_images_of_a_fold_or_of_both_sides(cli, found, truth, write_csv, tmp_path):
    fewer = write_csv(*rows("a", FOUND["a"]), *rows("b", FOUND["b"]), *rows("z", []), name="fewer.csv")
    (tmp_path / "folds.csv").write_text("image,fold\na,0\nb,1\nc,1\n")
    told = scores_of(cli, fewer, truth, "--common")
    assert (told["images"], told["left_out"]) == (2, {"predictions": ["c"], "truth": ["z"]})
    assert told["overall"] == scores_of(cli, fewer, truth, "--image", "a", "--image", "b")["overall"]
    words = cli("evaluate", fewer, truth, "--common", "--jobs", 1).stderr
    assert (
        "not scored, missing from the predictions: 1 image\n  c\nnot scored, missing from the truth: 1 image\n  z\n"
        in words
    )
    fold = ("--folds", tmp_path / "folds.csv", "--fold")
    assert scores_of(cli, found, truth, *fold, 1)["images"] == 2
    assert "missing from the predictions: c" in cli("evaluate", fewer, truth, *fold, 1).stderr
    assert scores_of(cli, fewer, truth, *fold, 1, "--common")["by_image"][0]["image"] == "b"
    assert "has no fold 2: it has 0, 1" in cli("evaluate", found, truth, *fold, 2).stderr
    assert "require each other: give the file" in cli("evaluate", found, truth, *fold[:2]).stderr


def test_no_cells_come_with_a_hint(cli, truth, write_csv):
    none = write_csv(*rows("a", []), *rows("b", []), *rows("c", []), name="none.csv")
    assert "no predicted cells in any image" in cli("evaluate", none, truth, "--jobs", 1).stderr
    assert "no true cells in any image" in cli("evaluate", truth, none, "--jobs", 1).stderr


def test_many_missing_images_are_counted(found, write_csv):
    many = write_csv(*(row for k in range(50) for row in rows(f"x{k}", [])), name="many.csv")
    with pytest.raises(UnpairedError, match=r"x0, x1, .*, x19 and 30 more; missing from the truth: a, b, c"):
        evaluate(open_source(found), open_source(many))


def test_images_that_fail_are_named_and_in_no_score(cli, found, truth, write_csv, tmp_path):
    broken = write_csv(*rows("a", FOUND["a"]), "b,1 x,30,20,", *rows("c", []), name="broken.csv")
    result = cli("evaluate", broken, truth, "--out", tmp_path / "scores.csv")
    assert result.exit_code == 1
    assert result.stderr.endswith(
        "error: 1 of 3 images failed, and were not scored:\n  b: broken.csv row 4: 'x' is not a whole number\n"
    )
    assert "images            2" in result.stdout
    small = write_csv(*rows("a", []), "b,1 2,3,2,", *rows("c", []), name="small.csv")
    message = "b: the predicted cells have 2 x 3 pixels, the true cells 20 x 30"
    assert message in cli("evaluate", small, truth).stderr
    nothing = write_csv("a,1 x,30,20,", name="nothing.csv")
    result = cli("evaluate", nothing, truth, "--image", "a", "--worst", 1, "--pictures", tmp_path / "worst")
    assert (result.exit_code, result.stdout) == (1, "")
    content = json.loads(cli("evaluate", nothing, truth, "--image", "a", "--json").stdout)
    assert (content["overall"], content["images"], list(content["failures"])) == (None, 0, ["a"])


def test_sizes_come_from_the_other_side_or_the_images(cli, truth, write_csv, tmp_path):
    lines = [f"{name},{text}" for name in "ab" for text in encode_rle(np.array(FOUND[name]))]
    bare = write_csv(*lines, "c,", header="ImageId,EncodedPixels", name="bare.csv")
    expected = scores_of(cli, bare, truth, "--predicted-rle-order", "row")["overall"]
    assert expected["matched"] == 2
    swapped = scores_of(cli, truth, bare, "--rle-order", "row")["overall"]
    assert (swapped["missed"], swapped["false"]) == (expected["false"], expected["missed"])
    folder = tmp_path / "images"
    folder.mkdir()
    for name in FOUND:
        Image.fromarray(np.zeros(SHAPE, np.uint8)).save(folder / f"{name}.png")
    assert scores_of(cli, bare, bare, "--images", folder)["overall"]["pq"] == 1
    assert "a: bare.csv has no columns width and height: give the image files" in cli("evaluate", bare, bare).stderr


def test_a_row_for_each_image(cli, found, truth, tmp_path):
    out = tmp_path / "scores.csv"
    assert cli("evaluate", found, truth, "--out", out, "--quiet").output == ""
    with out.open() as file:
        lines = {line["image"]: line for line in csv.DictReader(file)}
    assert list(lines) == ["a", "b", "c"]
    wanted = ("cell_type", "kaggle_map", "ap_0.50", "f1_0.75", "pq", "truth", "missed", "false", "aji")
    assert [lines["a"][name] for name in wanted] == [
        "round", "0.166667", "0.333333", "0.5", "0.375", "2", "1", "1", lines["a"]["aji"],
    ]  # fmt: skip
    # The small cell takes the one that was found for the large one, too: they share 16 pixels.
    assert float(lines["a"]["aji"]) == pytest.approx((60 + 16) / (80 + (60 + 40 - 16) + 15), abs=1e-6)
    assert lines["c"]["aji"] == ""


def test_no_number_of_jobs_changes_the_result(found, truth):
    reports = [
        evaluate(open_source(found), open_source(truth), EvaluationOptions(jobs=jobs, quiet=True)) for jobs in (1, 2)
    ]
    assert reports[0].to_dict() == reports[1].to_dict()
    assert reports[0].table() == reports[1].table()


def colours(path):
    with Image.open(path) as picture:
        return np.asarray(picture.convert("RGB")).reshape(-1, 3)


def has(picture, colour):
    wanted = [int(colour[k : k + 2], 16) for k in (1, 3, 5)]
    return bool((picture == wanted).all(1).any())


def test_pictures_of_the_worst_images(cli, found, truth, tmp_path):
    """One cell found, one missed, one false; nothing in the picture is merged or split but the legend's lines."""
    pytest.importorskip("matplotlib")
    out = tmp_path / "worst"
    result = cli("evaluate", found, truth, "--worst", 2, "--pictures", out)
    assert result.exit_code == 0, result.output
    assert sorted(path.name for path in out.iterdir()) == ["01-a.png", "02-b.png"]
    assert "\nimage  kaggle_map" in result.stdout
    worst, best = (colours(out / name) for name in ("01-a.png", "02-b.png"))
    for colour in ("#00b884", "#56b4e9", "#e69f00"):
        assert has(worst, colour)
    assert (worst == [0x56, 0xB4, 0xE9]).all(1).sum() > 2 * (best == [0x56, 0xB4, 0xE9]).all(1).sum()
    again = tree(out)
    result = cli("evaluate", found, truth, "--worst", 2, "--pictures", out)
    assert result.exit_code == 1
    assert f"{out} already exists" in result.stderr
    assert tree(out) == again


def test_images_lie_beneath_the_outlines(cli, found, truth, tmp_path):
    pytest.importorskip("matplotlib")
    folder = tmp_path / "images"
    folder.mkdir()
    Image.fromarray(np.tile(np.arange(30, dtype=np.uint8), (20, 1))).save(folder / "a.png")
    args = ("evaluate", found, truth, "--image", "a", "--worst", 1)
    assert cli(*args, "--pictures", tmp_path / "with", "--images", folder).exit_code == 0
    assert cli(*args, "--pictures", tmp_path / "without").exit_code == 0
    assert len(np.unique(colours(tmp_path / "with" / "01-a.png"), axis=0)) > 20
    Image.fromarray(np.zeros((3, 3), np.uint8)).save(folder / "a.png")
    result = cli(*args, "--pictures", tmp_path / "wrong", "--images", folder)
    assert result.exit_code == 1
    assert "a.png is 3 x 3, its cells 20 x 30 (height x width)" in result.stderr


def test_an_extra_that_is_missing_is_named_before_the_work(cli, found, truth, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    result = cli("evaluate", found, truth, "--worst", 1, "--pictures", tmp_path / "worst")
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == "error: drawing a picture needs matplotlib: pip install 'cellprep[plot]'\n"


@pytest.fixture
def classed(write_csv):
    """Predicted cells with a class: of the large one the wrong one, and a false cell."""
    kinds = {"a": ["long", "round"], "b": ["long"], "c": []}
    found = [row for name, masks in FOUND.items() for row in zip(masks, kinds[name], [name] * 9, strict=False)]
    return write_csv(*(rows(name, [one], kind)[0] for one, kind, name in found), *rows("c", []), name="classed.csv")


def test_scores_by_class(cli, classed, truth, tmp_path):
    found = scores_of(cli, classed, truth, "--by-class")
    assert found["overall"] == scores_of(cli, classed, truth)["overall"]
    assert found["confusion"] == {"classes": ["long", "round"], "table": [[1, 0, 0], [1, 0, 1], [0, 1, 0]]}
    counts = {name: [part[key] for key in ("images", "truth", "predicted")] for name, part in found["by_class"].items()}
    assert counts == {"long": [2, 1, 2], "round": [1, 2, 1]}
    assert (found["class_accuracy"], found["mean_ap50"], found["coco_map"]) == (0.5, 0.25, None)
    result = cli("evaluate", classed, truth, "--confusion", tmp_path / "classes.png")
    assert [line.split() for line in result.stdout.splitlines()[-4:]] == [
        ["true", "\\", "predicted", "long", "round", "missed"],
        ["long", "1", "0", "0"],
        ["round", "1", "0", "1"],
        ["false", "0", "1", "-"],
    ]
    with Image.open(tmp_path / "classes.png") as picture:
        assert min(picture.size) > 200


def test_cells_without_a_class_are_an_error(cli, found, truth):
    result = cli("evaluate", found, truth, "--by-class")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: found.csv has cells without a class, such as in a: scores by class require")
    report = evaluate(truth, truth, by_class=True, only=["b"], jobs=1)
    assert list(report.class_scores["by_class"]) == ["long"]


@pytest.mark.parametrize(
    ("args", "code", "message"),
    [
        (["found.csv", "train.csv", "--confusion", "x.txt"], 2, "--confusion x.txt is not a picture: use the"),
        (["found.csv", "train.csv", "--image", "x"], 2, "image 'x' is neither in found.csv nor in train.csv"),
        (["found.csv", "train.csv", "--jobs", "0"], 2, "jobs is 0: give 1 or more"),
        (["found.csv", "train.csv", "--out", "found.csv"], 2, "--out found.csv is the input file"),
        (["found.csv", "train.csv", "--images", "nowhere"], 1, "cannot read the image folder nowhere"),
        (["nowhere", "train.csv"], 1, "cannot read the annotation source nowhere"),
        (["found.csv", "nowhere"], 1, "cannot read the annotation source nowhere"),
        (["found.csv", "train.csv", "--predicted-format", "x"], 2, "format 'x' is unknown"),
    ],
)
def test_mistakes_are_one_line(cli, found, truth, tmp_path, monkeypatch, args, code, message):
    monkeypatch.chdir(tmp_path)
    before = tree(tmp_path)
    result = cli("evaluate", *args)
    assert (result.exit_code, result.stdout) == (code, "")
    assert result.stderr.startswith(f"error: {message}")
    assert result.stderr.count("\n") == 1
    assert tree(tmp_path) == before


def test_real_cells_against_their_own_labels(cli, sartorius, tmp_path):
    ids = ["0030fd0e6378", "01ae5a43a2ab", "ca5df17f6717"]
    chosen = [arg for name in ids if name in open_source(sartorius).image_ids for arg in ("--image", name)]
    store = tmp_path / "s.zarr"
    assert cli("build-targets", sartorius, "--out", store, "--quiet", *chosen).exit_code == 0
    content = scores_of(cli, store, sartorius, *chosen)
    for entry in content["by_image"]:
        record = next(record for record in open_source(sartorius).images() if record.image_id == entry["image"])
        true_masks = record.load().runs.to_masks()
        ious = peers.iou_matrix(true_masks, peers.masks_of(open_store(store)[entry["image"]].read("labels")))
        assert entry["kaggle_map"] == pytest.approx(peers.kaggle(ious))


def test_texts_are_read_in_the_order_of_their_side():
    assert parse_rle(["1 2"], (2, 2), "column").in_order("row").starts.tolist() == [0, 2]
