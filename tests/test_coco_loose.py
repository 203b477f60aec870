"""COCO files that deviate from the format: read if their meaning is certain, otherwise refused with a reason."""

import json
import unicodedata

import numpy as np
import pytest
from PIL import Image
from test_coco import CATEGORIES, CELL, GOOD, IMAGE, SQUARE, annotation, document

from cellprep import BuildOptions, build_targets, open_prediction, open_source, open_store
from cellprep.errors import AnnotationError, SourceError, UsageError
from cellprep.formats.annotations.record import FaultyImage

PLAIN = document(annotation(3), annotation(4, category_id=7))
AS_LISTED = {"segmentation": [1, 1, 3, 1, 3, 3, 1, 3]}
AS_POINTS = {"segmentation": [[1, 1], [3, 1], [3, 3], [1, 3]]}
AS_NESTED_POINTS = {"segmentation": [[[1, 1], [3, 1], [3, 3], [1, 3]]]}
COUNTS = {"segmentation": {"size": [4, 5], "counts": [5, 2, 2, 2, 9]}}


@pytest.fixture
def opened(tmp_path):
    def opened(content, **options):
        path = tmp_path / "c.json"
        path.write_text(json.dumps(content))
        return open_source(path, **options)

    return opened


def images_of(source):
    return {image.image_id: image for image in source.images()}


def changed(content, part, **fields):
    """The document with some fields of all entries of a list changed by functions of their values."""
    entries = [
        {**entry, **{name: change(entry.get(name)) for name, change in fields.items()}} for entry in content[part]
    ]
    return {**content, part: entries}


# Parts whose meaning is certain: what is written, as functions of what is right.
SAME = {
    "text ids": ("annotations", {"id": str}),
    "float ids": ("annotations", {"id": float}),
    "text image ids of annotations": ("annotations", {"image_id": str}),
    "float image ids of annotations": ("annotations", {"image_id": float}),
    "names of files as image ids": ("annotations", {"image_id": lambda _: "a.png"}),
    "names of images as image ids": ("annotations", {"image_id": lambda _: "a"}),
    "zeros before image ids": ("annotations", {"image_id": "000{}".format}),
    "text ids of images": ("images", {"id": str}),
    "float ids of images": ("images", {"id": float}),
    "text categories": ("annotations", {"category_id": str}),
    "float ids of categories": ("categories", {"id": float}),
    "text iscrowd": ("annotations", {"iscrowd": lambda _: "0"}),
    "float iscrowd": ("annotations", {"iscrowd": lambda _: 0.0}),
    "word iscrowd": ("annotations", {"iscrowd": lambda _: "false"}),
    "float sizes": ("images", {"width": float, "height": float}),
    "text sizes": ("images", {"width": str, "height": "{}.0".format}),
    "area is no number": ("annotations", {"area": lambda _: float("nan")}),
    "no score": ("annotations", {"score": lambda _: float("-inf")}),
    "folders of Windows": ("images", {"file_name": "C:\\data\\{}".format}),
    "flat polygons": ("annotations", {"segmentation": lambda _: AS_LISTED["segmentation"]}),
    "points": ("annotations", {"segmentation": lambda _: AS_POINTS["segmentation"]}),
    "nested points": ("annotations", {"segmentation": lambda _: AS_NESTED_POINTS["segmentation"]}),
}


@pytest.mark.parametrize(("part", "fields"), SAME.values(), ids=SAME.keys())
def test_what_is_meant_for_certain_is_read_as_if_it_were_written_so(opened, part, fields):
    expected = images_of(opened(PLAIN))["a"]
    source = opened(changed(PLAIN, part, **fields))
    found = images_of(source)["a"]
    assert (source.notes, source.image_ids) == ([], ["a"])
    assert (found.shape, found.rows, found.cell_types) == (expected.shape, expected.rows, expected.cell_types)
    np.testing.assert_array_equal(found.load().runs.to_masks(), expected.load().runs.to_masks())


@pytest.mark.parametrize(
    "mask",
    [
        COUNTS["segmentation"],
        {"size": [4.0, 5.0], "counts": [5.0, 2.0, 2.0, 2.0, 9.0]},
        {"size": [4.0, 5], "counts": "52207"},
    ],
)
def test_counts_with_whole_floats(opened, mask):
    expected = images_of(opened(document(annotation(segmentation=SQUARE))))["a"].load()
    found = images_of(opened(document(annotation(segmentation=mask))))["a"].load()
    np.testing.assert_array_equal(found.runs.to_masks(), expected.runs.to_masks())


@pytest.mark.parametrize("ids", [(None, None), ("x", "y"), (1.5, 2), ({}, 7), (True, 1)])
def test_ids_that_are_none_are_places(opened, ids):
    one, other = ids
    source = opened(document(annotation(id=one), annotation(id=other), CELL, images=[IMAGE, GOOD]))
    assert [images_of(source)[name].rows for name in ("a", "good")] == [(1, 2), (3,)]
    (note,) = source.notes
    assert note.endswith(
        "of 3 annotations do not have a whole number as id: rows are the positions of annotations in the file, from 1"
    )


def test_an_annotation_without_an_id_has_its_key(opened):
    without = {key: value for key, value in annotation().items() if key != "id"}
    source = opened({**PLAIN, "annotations": {"17": without, "4": without}})
    assert (images_of(source)["a"].rows, source.notes) == ((17, 4), [])


def test_sizes_that_are_null_come_from_the_images(opened):
    image = images_of(opened(changed(PLAIN, "images", width=lambda _: None, height=lambda _: None)))["a"]
    assert image.needs_shape
    assert image.load((4, 5)).runs.shape == (4, 5)


@pytest.mark.parametrize("name", ["NaN, -Infinity", 'a "quoted" NaN', "back\\\\slash: NaN"])
def test_words_that_look_like_numbers_stay_in_texts(opened, name):
    content = changed(PLAIN, "annotations", area=lambda _: float("nan"), score=lambda _: float("inf"))
    source = opened({**content, "categories": [{"id": 1, "name": name}, CATEGORIES[1]]})
    assert images_of(source)["a"].cell_types == (name, "spindle")


def test_cells_without_a_category_have_no_type(opened):
    assert images_of(opened(document(annotation(category_id=None), annotation(2))))["a"].cell_types == ("", "round")


def test_a_number_and_its_text_are_two_ids_if_both_are_listed(opened):
    images = [IMAGE, {**GOOD, "id": "1"}]
    found = images_of(opened(document(annotation(1), annotation(2, image_id="1"), images=images)))
    assert (found["a"].rows, found["good"].rows) == ((1,), (2,))


# A single fault each: entries of images and annotations, the image named, and the message.
FAULTS = {
    "crowd": ({}, {"iscrowd": "yes"}, "a", "c.json image 1: annotation 5: its iscrowd is 'yes': it must be 0 for a "),
    "image of it": (
        {},
        {"image_id": None},
        "annotation 5",
        "c.json annotation 5: its image_id is missing, or null: it",
    ),
    "image list": ({}, {"image_id": [1]}, "annotation 5", "c.json annotation 5: its image_id is [1]: it must be the"),
    "category": ({}, {"category_id": [1]}, "a", "c.json image 1: annotation 5: its category_id is [1]: it must be"),
    "score": ({}, {"score": "high"}, "a", "c.json image 1: annotation 5: its score is 'high': it must be a number"),
    "width": ({"width": 5.5}, {}, "a", "c.json image 1: its width is 5.5: it must be a whole number of pixels; or"),
    "height": (
        {"height": "4 px"},
        {},
        "a",
        "c.json image 1: its height is '4 px': it must be a whole number of pixels",
    ),
    "one null": ({"height": None}, {}, "a", "c.json image 1: its size is 0 x 5 (height x width): give both in pixels"),
    "name": ({"file_name": ["a"]}, {}, "1", "c.json image 1: its file_name is ['a']: it must be a string"),
    "no id": ({"id": None}, {}, "a", "c.json image 'entry 1 of images': its id is missing, or null: it must be the "),
    "nan": ({}, {"segmentation": [[float("nan"), 1, 3, 1, 3, 3]]}, "a", "c.json annotation 5: its polygon has a coord"),
    "null": (
        {},
        {"segmentation": [[None, 1, 3, 1, 3, 3]]},
        "a",
        "c.json annotation 5: its polygon has a coordinate that ",
    ),
    "parts": ({}, {"segmentation": [[0.1, 0.2, 0.3, 0.2, 0.3, 0.9]]}, "a", "c.json annotation 5: its polygon is betw"),
    "outside": (
        {},
        {"segmentation": [[200, 1, 220, 1, 220, 3]]},
        "a",
        "c.json annotation 5: its polygon, x 200 to 220, y 1 to 3, is outside its image, 5 x 4 (width x height)",
    ),
    "before": (
        {},
        {"segmentation": [[-9, 1, -2, 1, -2, 3]]},
        "a",
        "c.json annotation 5: its polygon, x -9 to -2, y 1 to",
    ),
    "box alone": (
        {},
        {"segmentation": [], "bbox": [1, 1, 2, 2]},
        "a",
        "c.json annotation 5: it has no segmentation; a ",
    ),
    "counts of what": (
        {},
        {"segmentation": {"size": [4, 5]}},
        "a",
        "c.json annotation 5: its segmentation needs counts",
    ),
    "no size": (
        {},
        {"segmentation": {"counts": "42>"}},
        "a",
        "c.json annotation 5: its segmentation needs a size, [hei",
    ),
    "turned": (
        {},
        {"segmentation": {"size": [5, 4], "counts": [20]}},
        "a",
        "c.json annotation 5: its mask is 5 x 4 (height x width), but its image is 4 x 5; COCO gives the height first",
    ),
    "endless": (
        {},
        {"segmentation": [[1e400, 0, 1, 1, 2, 2]]},
        "a",
        "c.json annotation 5: its polygon has a coordinate",
    ),
    "huge": ({}, {"segmentation": [10**40, 0, 1, 1, 2, 2]}, "a", "c.json annotation 5: its segmentation is neither"),
}


@pytest.mark.parametrize(("image", "fields", "name", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_is_its_images_alone(opened, tmp_path, image, fields, name, message):
    source = opened(document(annotation(5, **fields), CELL, images=[{**IMAGE, **image}, GOOD]))
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert report.failures[name][: len(message)] == message
    assert open_store(tmp_path / "s.zarr")["good"].attributes["cells"] == 1


def test_entries_that_are_no_objects_are_named(opened):
    source = opened({"images": [IMAGE, 7], "annotations": [annotation(), "x"], "categories": CATEGORIES})
    problems = {name: image.problem for name, image in images_of(source).items() if isinstance(image, FaultyImage)}
    assert problems == {
        "entry 2 of images": "c.json image 'entry 2 of images': it is not an object with id, file_name, width and "
        "height",
        "annotation 2": "c.json annotation 2: it is not an object with image_id and segmentation",
    }


def test_a_thin_polygon_within_its_image_is_a_cell_without_pixels(opened):
    assert images_of(opened(document(annotation(segmentation=[[2, 2, 2, 2, 2, 2]]))))[
        "a"
    ].load().runs.areas.tolist() == [0]


# Names


def test_images_of_one_name_are_told_apart_by_folder(opened, tmp_path):
    files = ["a.png", "x/a.png", "y\\a.png", "b.png", "b.tif"]
    images = [{**IMAGE, "id": number, "file_name": name} for number, name in enumerate(files)]
    source = opened(document(images=images))
    assert source.image_ids == ["a", "x_a", "y_a", "b.png", "b.tif"]
    for place, name in enumerate(files[:3]):
        path = tmp_path / "images" / name.replace("\\", "/")
        path.parent.mkdir(exist_ok=True, parents=True)
        Image.fromarray(np.full((4, 5), 50 + place, np.uint8)).save(path)
    build_targets(source, tmp_path / "s.zarr", BuildOptions(images=tmp_path / "images", jobs=1, quiet=True))
    store = open_store(tmp_path / "s.zarr")
    assert {name: store[name].read("image")[0, 0] for name in store} == {"a": 50, "x_a": 51, "y_a": 52}


@pytest.mark.parametrize("taken", ["x_a.png", "x/a.png"])
def test_names_that_stay_alike_fail(opened, taken):
    files = ["a.png", "x/a.png", taken]
    images = images_of(opened(document(images=[{**IMAGE, "id": k, "file_name": name} for k, name in enumerate(files)])))
    assert "has the same name, 'a': names must be unique" in images["a"].problem


@pytest.mark.parametrize("forms", [("NFC", "NFD"), ("NFD", "NFC")])
def test_names_with_accents_are_equal_in_both_forms(opened, tmp_path, forms):
    written, on_disk = (unicodedata.normalize(form, "zelle-\u00fc.png") for form in forms)
    source = opened(document(images=[{**IMAGE, "file_name": written}]))
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "images" / on_disk)
    options = BuildOptions(images=tmp_path / "images", jobs=1, quiet=True)
    report = build_targets(source, tmp_path / "s.zarr", options)
    assert (source.image_ids, report.new, report.unannotated) == (["zelle-\u00fc"], 1, [])


def test_images_are_found_in_folders_below_but_no_masks_for_them(opened, tmp_path):
    names = {1: "a.png", 2: "b.png", 3: "y/c.png", 4: "d.png"}
    source = opened(document(images=[{**IMAGE, "id": k, "file_name": name} for k, name in names.items()]))
    for place, path in enumerate(["A172/a.png", "masks/b.png", "x/y/c.png", "z/c.png", "x/d.png", "z/d.png"]):
        file = tmp_path / "images" / path
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((4, 5), 50 + place, np.uint8)).save(file)
    options = BuildOptions(images=tmp_path / "images", jobs=1, quiet=True)
    report = build_targets(source, tmp_path / "s.zarr", options)
    store = open_store(tmp_path / "s.zarr")
    assert {name: store[name].read("image")[0, 0] for name in store} == {"a": 50, "c": 52}
    assert report.failures["b"].startswith("there is no image file b.* in ")
    assert report.failures["d"].startswith("several image files have this id: ")


# Crowds


def test_a_file_of_crowds_alone_is_refused_until_it_is_said_what_they_are(opened, cli, tmp_path):
    crowds = document(annotation(1, iscrowd=1), annotation(2, iscrowd=1, category_id=7))
    with pytest.raises(
        UsageError, match=r"contains only 2 crowds \(iscrowd 1\).* all masks as crowds. Choose --crowds cells "
    ):
        opened(crowds)
    found = images_of(opened(crowds, crowds="cells"))["a"].load()
    assert (found.rows, found.cell_types, found.ignore) == ((1, 2), ("round", "spindle"), None)
    found = images_of(opened(crowds, crowds="ignore"))["a"].load()
    assert (found.rows, found.ignore.sum()) == ((), 4)
    args = ["build-targets", tmp_path / "c.json", "--out", tmp_path / "s.zarr", "--jobs", 1]
    assert cli(*args).exit_code == 2
    assert "2 cells" in cli(*args, "--crowds", "cells").output


# Annotations of two images, and what is said of their crowds.
NOTES = {
    "some": ([0, 1, 0], [0], "1 crowd (iscrowd 1) taken as regions to ignore; --crowds cells takes them as cells"),
    "most": (
        [0, 1, 1],
        [0, 0],
        "warning: 2 crowds (iscrowd 1) taken as regions to ignore, 2 of 3 of the category round. If they are cells, "
        "run again with --crowds cells",
    ),
    "all of an image": (
        [1],
        [0],
        "warning: 1 crowd (iscrowd 1) taken as regions to ignore, 1 of 1 of the category round; all in 1 image: a. If "
        "they are cells, run again with --crowds cells",
    ),
}


@pytest.mark.parametrize(("here", "there", "note"), NOTES.values(), ids=NOTES.keys())
def test_crowds_are_told(opened, cli, tmp_path, here, there, note):
    of_a = [annotation(number, iscrowd=crowd) for number, crowd in enumerate(here)]
    others = [{**CELL, "id": 9 + number, "iscrowd": crowd, "category_id": 7} for number, crowd in enumerate(there)]
    source = opened(document(*of_a, *others, images=[IMAGE, GOOD]))
    assert source.notes == [note]
    for command in (["build-targets", "--out", tmp_path / "s.zarr"], ["check"]):
        assert note in cli(command[0], source.path, *command[1:], "--jobs", 1).stderr.splitlines()
    assert opened(document(*of_a, *others, images=[IMAGE, GOOD]), crowds="ignore").notes == []


def test_only_coco_has_crowds(write_csv, opened, tmp_path):
    with pytest.raises(UsageError, match=r"train\.csv has the format kaggle-csv, to which --crowds does not apply"):
        open_source(write_csv("a,1 2,5,4,x"), crowds="cells")
    with pytest.raises(UsageError, match="crowds='both' is unknown: use one of ignore, cells"):
        opened(PLAIN, crowds="both")
    (tmp_path / "r.json").write_text("[]")
    with pytest.raises(UsageError, match="contains COCO results, to which --crowds"):
        open_prediction(tmp_path / "r.json", opened(PLAIN), crowds="cells")


# Results

RESULTS = {
    "no score": ([{"image_id": 1}], "entry 1 needs image_id, category_id, segmentation and a number as score"),
    "text": ([{"image_id": 1, "score": 1}, "x"], "entry 2 needs image_id, category_id, segmentation and"),
    "object": ({"images": []}, "COCO results are a list"),
    "SAM": (
        [{"segmentation": {}, "predicted_iou": 0.9}],
        "this is SAM's everything-mode JSON, masks without their image",
    ),
}


@pytest.mark.parametrize(("content", "message"), RESULTS.values(), ids=RESULTS.keys())
def test_faulty_results(opened, tmp_path, content, message):
    from cellprep.formats.coco.results import COCOResults

    (tmp_path / "r.json").write_text(json.dumps(content))
    with pytest.raises(SourceError, match=message):
        COCOResults(tmp_path / "r.json", opened(PLAIN))


def test_results_may_name_images_by_texts(opened, tmp_path):
    results = [{"image_id": "1", "score": "0.5", "category_id": 1.0, **COUNTS}]
    (tmp_path / "r.json").write_text(json.dumps(results))
    (found,) = open_prediction(tmp_path / "r.json", opened(PLAIN)).images()
    assert (found.rows, found.cell_types, found.scores) == ((1,), ("round",), (0.5,))


def test_every_faulty_mask_is_told_by_its_row(opened):
    record = images_of(opened(document(annotation(1), annotation(2, segmentation=[1, 2, 3, 4]))))["a"]
    assert list(record.faults()) == [2]
    with pytest.raises(AnnotationError, match=r"c\.json annotation 2: its segmentation is a box of four numbers"):
        record.load()
