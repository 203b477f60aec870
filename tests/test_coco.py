"""COCO JSON: counts and polygons against pycocotools, reading, and messages about faulty files."""

import json

import numpy as np
import pytest
from conftest import examples, masks
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image
from pycocotools import mask as coco

from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.core.rle import parse_coco_counts, polygon_counts
from cellprep.errors import AnnotationError, CellprepError, RLEError, SourceError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord

SQUARE = [[1, 1, 3, 1, 3, 3, 1, 3]]
IMAGE = {"id": 1, "file_name": "a.png", "width": 5, "height": 4}
GOOD = {"id": 2, "file_name": "good.png", "width": 5, "height": 4}
CELL = {"id": 9, "image_id": 2, "category_id": 1, "segmentation": SQUARE}
CATEGORIES = [{"id": 1, "name": "round"}, {"id": 7, "name": "spindle"}]


def annotation(number=1, **fields):
    return {"id": number, "image_id": 1, "category_id": 1, "segmentation": SQUARE, **fields}


def document(*annotations, images=(IMAGE,), categories=CATEGORIES):
    return {"images": list(images), "annotations": list(annotations), "categories": categories}


@pytest.fixture
def write_json(tmp_path):
    def write(content):
        path = tmp_path / "coco.json"
        path.write_text(json.dumps(content))
        return path

    return write


def read(path):
    return {image.image_id: image for image in open_source(path).images()}


def plain_counts(mask):
    """Uncompressed counts, one pixel at a time."""
    counts, inside = [0], False
    for pixel in mask.ravel(order="F").tolist():
        if pixel != inside:
            counts.append(0)
            inside = pixel
        counts[-1] += 1
    return counts


def compressed_counts(mask):
    return coco.encode(np.asfortranarray(mask.astype(np.uint8)))["counts"]


# Counts


@given(masks())
def test_counts_of_both_kinds_are_the_masks(stack):
    shape = stack.shape[1:]
    for counts in ([plain_counts(mask) for mask in stack], [compressed_counts(mask) for mask in stack]):
        runs = parse_coco_counts(counts, shape)
        np.testing.assert_array_equal(runs.to_masks(), stack)
        assert runs.areas.tolist() == stack.sum(axis=(1, 2)).tolist()


def test_counts_of_a_large_mask():
    mask = np.random.default_rng(0).random((700, 900)) < 0.3
    mask[:, 300:600] = True  # counts of up to 18 bits
    np.testing.assert_array_equal(parse_coco_counts([compressed_counts(mask)], mask.shape).to_masks()[0], mask)


def test_counts_may_hold_runs_of_nothing():
    runs = parse_coco_counts([[0, 2, 0, 1, 0, 0, 3], [6]], (2, 3))
    assert runs.to_masks().astype(int).tolist() == [[[1, 1, 0], [1, 0, 0]], [[0, 0, 0], [0, 0, 0]]]
    assert runs.offsets.tolist() == [0, 2, 2]


FAULTY_COUNTS = {
    "too few": ([1, 2], "the counts do not add up to 6 pixels (2 x 3)"),
    "too many": ([1, 2, 4], "the counts do not add up to 6"),
    "negative": ([7, -1], "the counts are not all whole numbers of pixels"),
    "huge": ([1 << 70], "the counts are not all whole"),
    "true": ([True, 5], "the counts are not all whole"),
    "none": ([], "the counts do not add up to 6"),
    "no text": (b"", "the counts are not valid compressed counts"),
    "foreign characters": (b"1~", "the counts are not valid compressed counts"),
    "cut": (b"1P", "the counts end in the middle of a number, or a number is too long"),
    "endless": (b"P" * 11 + b"0", "the counts end in the middle"),
    "compressed, too many": (b"124", "the counts do not add up to 6"),
    "compressed, negative": (b"O7", "the counts do not add up to 6"),
}


@pytest.mark.parametrize(("counts", "message"), FAULTY_COUNTS.values(), ids=FAULTY_COUNTS.keys())
def test_faulty_counts(counts, message):
    with pytest.raises(RLEError) as caught:
        parse_coco_counts([b"123", counts], (2, 3))
    assert (caught.value.place, caught.value.problem[: len(message)]) == (1, message)


@given(st.lists(st.one_of(st.binary(max_size=30), st.lists(st.integers(-5, 1 << 80), max_size=9)), max_size=3))
@example([b"oooooooool" * 3])
def test_hostile_counts_are_masks_or_an_error(counts):
    try:
        runs = parse_coco_counts(counts, (3, 4))
    except RLEError:
        return
    assert runs.to_masks().shape == (len(counts), 3, 4)


# Polygons


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # in pycocotools' own decoder
@settings(max_examples=examples(200))
@given(
    st.integers(1, 12),
    st.integers(1, 12),
    st.lists(st.lists(st.tuples(st.floats(-4, 16), st.floats(-4, 16)), min_size=3, max_size=7), min_size=1, max_size=3),
)
def test_polygons_are_the_masks_of_pycocotools(height, width, parts):
    polygons = [[number for point in part for number in point] for part in parts]
    expected = coco.decode(coco.frPyObjects(polygons, height, width)).any(axis=2)
    found = parse_coco_counts([polygon_counts(polygons, (height, width))], (height, width)).to_masks()[0]
    np.testing.assert_array_equal(found, expected)


FAULTY_POLYGONS = {
    "none": ([], "it has no polygon"),
    "two points": ([[0, 0, 1, 1]], "a polygon has 4 numbers: it needs x and y of at least three points"),
    "odd": ([[0, 0, 1, 1, 2, 2, 3]], "a polygon has 7 numbers"),
    "second part": ([*SQUARE, [1, 2]], "a polygon has 2 numbers"),
    "nan": ([[0, 0, 1, 1, 2, float("nan")]], "a polygon has a point that is not finite or exceeds a million"),
    "infinite": ([[0, 0, 1, 1, 2, float("-inf")]], "a polygon has a point that is not finite or exceeds a million"),
    "far": ([[0, 0, 1, 1, 2, 1e7]], "a polygon has a point that is not finite or exceeds a million"),
    "farthest": ([[0, 0, 1.7e308, -1.7e308, 2, 2]], "a polygon has a point that is not finite or exceeds a million"),
    "endless": ([[0, 0, 9e5, 9e5] * 100], "a polygon has a point .* or too many points"),
}


@pytest.mark.parametrize(("polygons", "message"), FAULTY_POLYGONS.values(), ids=FAULTY_POLYGONS.keys())
def test_faulty_polygons(polygons, message):
    with pytest.raises(RLEError, match=message):
        polygon_counts(polygons, (4, 5))


def test_polygons_need_an_image_that_pycocotools_can_count():
    with pytest.raises(RLEError, match="its image is 100000 x 100000: polygons need one of at most 4,294,967,295"):
        polygon_counts(SQUARE, (100_000, 100_000))


# Files


def test_reads_polygons_and_counts_of_several_categories(write_json):
    triangle = [0, 0, 2, 0, 0, 2]
    path = write_json(
        document(
            annotation(30, segmentation=[*SQUARE, triangle]),
            annotation(10, category_id=7, segmentation={"size": [4, 5], "counts": [4, 2, 14]}),
            annotation(20, category_id=7, segmentation={"size": [4, 5], "counts": "42>"}),
        )
    )
    source = open_source(path)
    assert (source.format, source.order, source.image_ids) == ("coco", None, ["a"])
    image = read(path)["a"]
    found = image.load()
    assert found.rows == (30, 10, 20)
    assert found.cell_types == ("round", "spindle", "spindle")
    assert found.cell_type == "spindle"
    assert found.runs.to_masks().astype(int).tolist() == [
        [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
        [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 0, 0], [0, 0, 0, 0, 0]],
    ]
    assert found.ignore is None
    assert image.faults() == {}


def test_annotations_may_be_a_dictionary_as_livecell_has_them(write_json):
    content = document(annotation(1), annotation(2, segmentation=[[0, 0, 5, 0, 5, 1, 0, 1]]))
    as_list = read(write_json(content))["a"]
    content["annotations"] = {str(found["id"]): found for found in content["annotations"]}
    as_dict = read(write_json(content))["a"]
    assert as_dict == as_list
    assert as_dict.rows == (1, 2)


def test_crowds_are_ignored_where_no_cell_is(write_json, tmp_path):
    crowd = {"size": [4, 5], "counts": [0, 12, 8]}
    path = write_json(document(annotation(1), annotation(2, iscrowd=1, segmentation=crowd)))
    found = read(path)["a"].load()
    assert found.rows == (1,)
    assert found.ignore.astype(int).tolist() == [[1, 1, 1, 0, 0]] * 4
    build_targets(open_source(path), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    stored = open_store(tmp_path / "s.zarr")["a"]
    assert stored.read("cells")[:, 0].tolist() == [1]
    ignore = stored.read("ignore")
    assert ignore.dtype == np.uint8
    assert ignore.tolist() == [[1, 1, 1, 0, 0], [1, 0, 0, 0, 0], [1, 0, 0, 0, 0], [1, 1, 1, 0, 0]]


@pytest.mark.parametrize("iscrowd", [0, False, None])
def test_what_is_no_crowd_is_a_cell(write_json, iscrowd):
    assert read(write_json(document(annotation(iscrowd=iscrowd))))["a"].load().rows == (1,)


def test_sizes_may_come_from_the_images(write_json, tmp_path):
    image = {"id": 1, "file_name": "sub/a.png"}
    path = write_json(document(annotation(), images=[image]))
    record = read(path)["a"]
    with pytest.raises(AnnotationError, match=r"coco\.json has no width and height of image 'a': give the image files"):
        record.load()
    assert record.load((4, 5)).runs.shape == (4, 5)
    (tmp_path / "images/sub").mkdir(parents=True)
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "images/sub/a.png")
    options = BuildOptions(images=tmp_path / "images", jobs=1, quiet=True)
    report = build_targets(open_source(path), tmp_path / "s.zarr", options)
    assert (report.new, report.failures) == (1, {})
    assert open_store(tmp_path / "s.zarr")["a"].read("image").shape == (4, 5)


@pytest.mark.parametrize(
    ("fields", "name"),
    [
        ({"file_name": "a.png"}, "a"),
        ({"file_name": "sub/folder/a.b.tif"}, "a.b"),
        ({"file_name": "C:\\data\\a.png"}, "a"),
        ({"file_name": "a"}, "a"),
        ({}, "1"),
        ({"file_name": "sub/"}, "1"),
    ],
)
def test_an_image_is_called_as_its_file(write_json, fields, name):
    assert list(read(write_json(document(images=[{"id": 1, "width": 5, "height": 4, **fields}])))) == [name]


def test_ids_may_be_texts_and_categories_missing(write_json):
    content = document(annotation(image_id="x"), images=[{**IMAGE, "id": "x"}], categories=[])
    found = read(write_json(content))["a"].load()
    assert (found.cell_types, found.cell_type) == (("",), "")


def test_an_image_without_annotations_has_no_cells(write_json):
    assert len(read(write_json(document()))["a"].load().runs) == 0


def test_a_byte_order_mark_does_no_harm(tmp_path):
    (tmp_path / "coco.JSON").write_text(json.dumps(document()), encoding="utf-8-sig")
    assert list(read(tmp_path / "coco.JSON")) == ["a"]


@pytest.mark.parametrize(
    "change", [{"id": 5}, {"category_id": 7}, {"iscrowd": 1}, {"segmentation": [[0, 0, 3, 0, 0, 3]]}]
)
def test_fingerprint_covers_every_field(write_json, change):
    def fingerprint(**fields):
        return read(write_json(document(annotation(**fields), CELL, images=[IMAGE, GOOD])))["a"].fingerprint()

    before = fingerprint()
    assert fingerprint(area=5) == before
    assert fingerprint(**change) != before


# What makes an image fail: its annotations, its fields, and what is said.
FAULTY_IMAGES = {
    "polygon": ([annotation(5, segmentation=[[1, 2]])], {}, "coco.json annotation 5: a polygon has 2 numbers"),
    "counts": (
        [annotation(), annotation(5, segmentation={"size": [4, 5], "counts": [3]})],
        {},
        "coco.json annotation 5: the counts do not add up to 20 pixels (4 x 5)",
    ),
    "size": (
        [annotation(5, segmentation={"size": [5, 4], "counts": [20]})],
        {},
        "coco.json annotation 5: its mask is 5 x 4 (height x width), but its image is 4 x 5",
    ),
    "no mask": ([annotation(5, segmentation=None)], {}, "coco.json annotation 5: it has no segmentation"),
    "missing mask": (
        [{"id": 5, "image_id": 1, "category_id": 1}],
        {},
        "coco.json annotation 5: it has no segmentation",
    ),
    "box": (
        [annotation(5, segmentation=[1, 2, 3, 4])],
        {},
        "coco.json annotation 5: its segmentation is a box of four numbers: a polygon needs at least three points",
    ),
    "words": ([annotation(5, segmentation="here")], {}, "coco.json annotation 5: its segmentation is neither"),
    "crowd": ([annotation(5, iscrowd=1, segmentation=[])], {}, "coco.json annotation 5: it has no segmentation"),
    "foreign counts": (
        [annotation(5, segmentation={"size": [4, 5], "counts": "é\u0000"})],
        {},
        "coco.json annotation 5: the counts are not valid compressed counts",
    ),
    "category": (
        [annotation(5, category_id=3)],
        {},
        "coco.json image 1: annotation 5 is of category 3, which is not in the file",
    ),
    "same ids": ([annotation(5), annotation(5)], {}, "coco.json image 1: several of its annotations have the id 5"),
    "huge id": ([annotation(1 << 63)], {}, "coco.json image 1: the id 9223372036854775808 of an annotation has more"),
    "no height": ([], {"height": 0}, "coco.json image 1: its size is 0 x 5 (height x width): give both in pixels"),
    "negative": ([], {"width": -5, "height": -4}, "coco.json image 1: its size is -4 x -5 (height x width)"),
    "endless": ([], {"width": 10**30}, "coco.json image 1: its size is 4 x 1000000000000000000000000000000 "),
    "hidden": ([], {"file_name": ".png"}, "coco.json image 1: image id '.png' is refused: it begins with a dot"),
    "escape": ([], {"file_name": "\x1b.png"}, "coco.json image 1: image id '\\x1b' is refused: it contains a control"),
    "image without a size": ([annotation(segmentation=SQUARE)], {"width": 0, "height": 0}, "coco.json has no width"),
}


@pytest.mark.parametrize(("annotations", "fields", "message"), FAULTY_IMAGES.values(), ids=FAULTY_IMAGES.keys())
def test_a_faulty_image_fails_alone(write_json, tmp_path, annotations, fields, message):
    path = write_json(document(*annotations, CELL, images=[{**IMAGE, **fields}, GOOD]))
    report = build_targets(open_source(path), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    (problem,) = report.failures.values()
    assert problem.startswith(message)
    assert "unexpected" not in problem
    assert list(open_store(tmp_path / "s.zarr")) == ["good"]


def test_every_faulty_mask_of_an_image_is_told(write_json):
    record = read(
        write_json(
            document(
                annotation(1),
                annotation(2, segmentation=[[1, 2]]),
                annotation(3, iscrowd=1, segmentation=None),
                annotation(4, segmentation={"size": [4, 5], "counts": [3]}),
            )
        )
    )["a"]
    assert {row: problem[:20] for row, problem in record.faults().items()} == {
        2: "a polygon has 2 numb",
        3: "it has no segmentati",
        4: "the counts do not ad",
    }


def test_images_of_one_name_or_one_id_fail(write_json):
    path = write_json(document(CELL, images=[IMAGE, {**IMAGE, "id": 5}, GOOD]))
    images = read(path)
    assert images["a"] == FaultyImage("a", "coco.json image 1: image 5 has the same name, 'a': names must be unique")
    assert isinstance(images["good"], ImageRecord)
    images = read(write_json(document(annotation(), images=[IMAGE, {**IMAGE, "file_name": "b.png"}, GOOD])))
    for name in "ab":
        assert images[name].problem == "coco.json image 1: another image has the same id: ids must be unique"
    assert isinstance(images["good"], ImageRecord)


def test_annotations_of_images_that_are_not_listed_are_named(write_json, tmp_path):
    path = write_json(document(annotation(), annotation(2, image_id=77), annotation(3, image_id=77)))
    source = open_source(path)
    assert source.image_ids == ["a", "image 77"]
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert report.new == 1
    problem = "coco.json has annotations for it, but it is not in the list of images, which has ids such as 1"
    assert report.errors()[1:] == [f"  image 77: {problem}"]


def test_an_image_too_large_for_any_memory_fails_alone(write_json, tmp_path):
    huge = {**IMAGE, "width": 10**9, "height": 10**9}
    path = write_json(document(CELL, images=[huge, GOOD]))
    report = build_targets(open_source(path), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert report.failures.keys() == {"a"}
    assert "4,000,000,000.0 GB of memory, of which there are" in report.failures["a"]
    assert list(open_store(tmp_path / "s.zarr")) == ["good"]


FAULTY_FILES = {
    "empty": (b"", "is not a COCO file: it is empty"),
    "no JSON": (
        b"id,annotation",
        "is not a COCO file: this looks like a table: if it is a CSV of annotations, rename it to .csv",
    ),
    "SA-1B": (b'{"image": {}, "annotations": []}', "is not a COCO file: this is an SA-1B file"),
    "list": (b"[]", "is not a COCO file: it is a list; COCO JSON is an object with the lists images, annotations and"),
    "no annotations": (
        b'{"images": []}',
        "is not a COCO file: it has: 'images'; COCO JSON is an object with the lists",
    ),
    "no images": (b'{"images": [], "annotations": []}', "has no annotations: its list of images is empty"),
    "cut off": (
        b'{"images": [{"id": 1}], "annot',
        "is not a COCO file: it ends in the middle of its JSON: copy or export it again",
    ),
    "broken": (
        b'{"images":\n [}], "annotations": []}',
        "is not a COCO file: its JSON is broken in line 2, column 3, at .* correct it or export it again",
    ),
    "category": (
        b'{"images": [{"id": 1}], "annotations": [], "categories": [{"name": "x"}]}',
        "category 1 of its list needs a whole number as id, and a name",
    ),
    "UTF-16": ('{"images": []}'.encode("utf-16"), "is not a COCO file: its text is UTF-16: save it as UTF-8"),
    "not text": (b'{"images": [{"id": "\xff"}], "annotations": []}', "is not a COCO file: its text is not UTF-8"),
    "deep": (
        b'{"images": [], "annotations": [], "x": ' + b"[" * 10**6,
        "is not a COCO file: its lists are nested too deeply",
    ),
    "deep mask": (
        b'{"images": [], "annotations": [{"id": 1, "image_id": 1, "segmentation": ' + b"[" * 10**6,
        "is not a COCO file: its lists are nested too deeply",
    ),
}


@pytest.mark.parametrize(("content", "message"), FAULTY_FILES.values(), ids=FAULTY_FILES.keys())
def test_faulty_files(tmp_path, content, message):
    path = tmp_path / "coco.json"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(path)
    assert str(caught.value).startswith(str(path))
    assert "\n" not in str(caught.value)


def test_a_folder_is_no_coco_file(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read .*: Is a directory"):
        open_source(tmp_path, "coco")


# Fuzz: whatever a file holds, a cellprep error or annotations.

ANY_JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    max_leaves=8,
)
SOME_ANNOTATION = st.fixed_dictionaries(
    {"id": st.integers(0, 3) | ANY_JSON, "image_id": st.integers(1, 2) | ANY_JSON},
    optional={
        "category_id": st.sampled_from([1, 7]) | ANY_JSON,
        "iscrowd": st.sampled_from([0, 1]) | ANY_JSON,
        "segmentation": st.lists(st.lists(st.floats(-10, 10), max_size=8), max_size=2)
        | st.fixed_dictionaries(
            {
                "size": st.just([4, 5]) | ANY_JSON,
                "counts": st.lists(st.integers(0, 20), max_size=4) | st.text("0123:;PQo`", max_size=6) | ANY_JSON,
            }
        )
        | ANY_JSON,
    },
)
SOME_IMAGE = st.fixed_dictionaries(
    {"id": st.integers(1, 2)},
    optional={
        "file_name": st.text(max_size=6) | ANY_JSON,
        "width": st.just(5) | st.integers(-1, 6) | ANY_JSON,
        "height": st.just(4) | ANY_JSON,
    },
)


def exhaust(path):
    try:
        for image in open_source(path, "coco").images():
            if isinstance(image, ImageRecord):
                image.fingerprint()
                try:
                    image.load((4, 5))
                except CellprepError:
                    assert image.faults((4, 5))
    except CellprepError as error:
        assert "\n" not in str(error)


@given(
    st.fixed_dictionaries(
        {
            "images": st.lists(SOME_IMAGE, max_size=3),
            "annotations": st.lists(SOME_ANNOTATION, max_size=4),
            "categories": st.just(CATEGORIES) | ANY_JSON,
        }
    )
)
def test_random_documents(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.json"
    path.write_text(json.dumps(content))
    exhaust(path)


@given(ANY_JSON)
def test_random_json(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.json"
    path.write_text(json.dumps(content))
    exhaust(path)


@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.booleans())
def test_valid_files_with_bytes_changed(tmp_path_factory, seed, changes, cut):
    rng = np.random.default_rng(seed)
    counts = {"size": [4, 5], "counts": "42>"}
    content = bytearray(json.dumps(document(annotation(), annotation(2, segmentation=counts), CELL)).encode())
    for place in rng.integers(0, len(content), changes):
        content[place] = rng.choice(list(b'0123456789[]{},:".-eE\x00\xff a'))
    path = tmp_path_factory.getbasetemp() / "changed.json"
    path.write_bytes(content[: rng.integers(len(content))] if cut else content)
    exhaust(path)


@given(st.binary(max_size=60))
def test_random_bytes(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "random.json"
    path.write_bytes(content)
    exhaust(path)
