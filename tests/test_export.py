import json
import os
import signal
import time
import uuid
from itertools import pairwise

import numpy as np
import pytest
import tifffile
from conftest import HEADER, masks, output, tree
from hypothesis import given
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from cellprep import (
    EXPORTERS,
    BuildOptions,
    Recipe,
    build_targets,
    encode_labels,
    export_labels,
    open_source,
    open_store,
)
from cellprep.core.rle import parse_rle
from cellprep.errors import OutputError, StoreError, UsageError
from cellprep.formats.annotations.content import Content, read_content
from cellprep.formats.coco import writer as coco
from cellprep.formats.geojson import writer as geojson
from cellprep.formats.images.file import ImageFile
from cellprep.formats.kaggle_csv import writer as kaggle_csv
from cellprep.formats.label_images import writer as label_tiff
from cellprep.formats.writers import FilePerImage, OneFile
from cellprep.store import ImageContent, StoreWriter, write_image

# pycocotools decodes masks in a way that NumPy is giving up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# In image a the third cell lies on the second; b has no cells; in c a cell has no type.
ROWS = [
    "a,1 2 7 2,6,5,round",
    "a,16 3 22 3,6,5,spindle",
    "a,17 1,6,5,round",
    'b,,4,3,"round, or not"',
    "c,1 1 6 1 11 1,4,3,round",
    "c,8 1,4,3,",
]


def build(source, out, format="kaggle-csv", **options):  # noqa: A002
    report = build_targets(open_source(source, format), out, BuildOptions(jobs=1, quiet=True, **options))
    assert not report.errors()
    return open_store(out)


def export(store, to, out, jobs=1):
    return export_labels(store, to, out, jobs=jobs, quiet=True)


@pytest.fixture
def store(write_csv, tmp_path):
    return build(write_csv(*ROWS), tmp_path / "data.zarr", recipe=Recipe(overlap="later-on-top"))


@pytest.fixture
def hiding(write_csv, tmp_path):
    """A store in which the third cell of image a covers the second entirely."""
    rows = ["a,1 2 7 2,6,5,round", "a,17 1,6,5,round", "a,16 3 22 3,6,5,spindle", "b,1 1,4,3,"]
    return build(write_csv(*rows), tmp_path / "hiding.zarr", recipe=Recipe(overlap="later-on-top"))


def content(labels, **changes):
    visible = [label for label in np.unique(labels).tolist() if label]
    defaults = {
        "image_id": "x",
        "labels": labels,
        "visible": visible,
        "cell_types": ["round"] * len(visible),
        "image_type": "round",
        "ignore": None,
        "pixel_size": None,
        "hidden_rows": (),
    }
    return Content(**{**defaults, **changes})


def labels_of(stack):
    return (stack * np.arange(1, len(stack) + 1)[:, None, None]).max(axis=0, initial=0).astype(np.uint16)


def fill(geometry, shape):
    """Fill a GeoJSON geometry by its sides: the pixels to the right of each upright one change sides."""
    polygons = geometry["coordinates"] if geometry["type"] == "MultiPolygon" else [geometry["coordinates"]]
    filled = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in (side for rings in polygons for ring in rings for side in pairwise(ring)):
        if x0 == x1:
            filled[min(y0, y1) : max(y0, y1), x0:] ^= True
    return filled


# Labels from what was exported, by each format's own readers. ----------------------------------------------


def labels_from_csv(out, store, scratch):
    again = build(out, scratch)
    return {image_id: image.read("labels") for image_id, image in again.items()}


def labels_from_coco(out, store, scratch):
    data = COCO(str(out))
    found = {}
    for image in data.dataset["images"]:
        labels = np.zeros((image["height"], image["width"]), int)
        for place, entry in enumerate(data.loadAnns(data.getAnnIds(image["id"])), start=1):
            cell = data.annToMask(entry).astype(int)
            assert not labels[cell > 0].any()
            labels += place * cell
        found[image["file_name"].removesuffix(".png")] = labels
    return found


def labels_from_tiffs(out, store, scratch):
    return {path.stem: ImageFile(path).decode() for path in out.glob("*.tif")}


def labels_from_geojson(out, store, scratch):
    found = {}
    for path in out.glob("*json"):
        labels = np.zeros(store[path.stem].shape, int)
        for feature in json.loads(path.read_text())["features"]:
            labels += int(feature["properties"]["name"]) * fill(feature["geometry"], labels.shape)
        found[path.stem] = labels
    return found


def labels_from_source(out, store, scratch):
    """By the reader of this package."""
    found = {}
    for record in open_source(out).images():
        annotations = record.load(store[record.image_id].shape if record.needs_shape else None)
        found[record.image_id] = annotations.runs.paint(np.array(annotations.rows, int))
    return found


def labels_from_labelme(out, store, scratch):
    found = {}
    for path in out.glob("*json"):
        document = json.loads(path.read_text())
        labels = np.zeros((document["imageHeight"], document["imageWidth"]), int)
        numbers = {}
        for shape in document["shapes"]:
            group = shape["group_id"] or object()
            number = numbers.setdefault(group, len(numbers) + 1)
            points = [*shape["points"], shape["points"][0]]
            labels += number * fill({"type": "Polygon", "coordinates": [np.array(points, int).tolist()]}, labels.shape)
        found[path.stem] = labels
    return found


def labels_from_yolo(out, store, scratch):
    found = {}
    for path in (out / "labels" / "train").iterdir():
        height, width = store[path.stem].shape
        labels = np.zeros((height, width), int)
        for number, line in enumerate(path.read_text().splitlines(), start=1):
            points = np.rint(np.array(line.split()[1:], float).reshape(-1, 2) * (width, height)).astype(int)
            labels += number * fill({"type": "Polygon", "coordinates": [[*points, points[0]]]}, labels.shape)
        found[path.stem] = labels
    return found


# The reader, and whether hidden cells leave a gap in the numbers.
READ_BACK = {
    "kaggle-csv": (labels_from_csv, False),
    "coco": (labels_from_coco, False),
    "coco-polygons": (labels_from_coco, False),
    "label-tiff": (labels_from_tiffs, True),
    "geojson": (labels_from_geojson, True),
    "geojson-detections": (labels_from_geojson, True),
    "imagej-roi": (labels_from_source, False),
    "cellpose-seg": (labels_from_source, False),
    "labelme": (labels_from_labelme, False),
    "yolo": (labels_from_yolo, False),
    "ome-zarr": (labels_from_source, True),
}


# A format of each kind: one file for all images, one for each, several for each and one at the end.
KINDS = ("coco", "label-tiff", "yolo")


def assert_same_labels(store, to, folder):
    read, keeps_numbers = READ_BACK[to]
    found = read(folder / "out", store, folder / "again.zarr")
    assert sorted(found) == list(store)
    for image_id, image in store.items():
        labels = image.read("labels")
        expected = labels if keeps_numbers else np.unique(labels * 1, return_inverse=True)[1].reshape(labels.shape)
        if not keeps_numbers and labels.all():
            expected = expected + 1
        np.testing.assert_array_equal(found[image_id], expected, err_msg=image_id)


def test_every_format_is_read_back_here():
    assert list(READ_BACK) == list(EXPORTERS)


@pytest.mark.parametrize("to", EXPORTERS)
def test_gives_back_the_labels(store, tmp_path, to):
    report = export(store, to, tmp_path / "out")
    assert (report.images, report.cells, report.failures) == (3, 5, {})
    assert_same_labels(store, to, tmp_path)


@pytest.mark.parametrize(("to", "format"), [("coco", "coco"), ("label-tiff", "label-folder")])
def test_can_be_built_from(store, tmp_path, to, format):  # noqa: A002
    export(store, to, tmp_path / "out")
    again = build(tmp_path / "out", tmp_path / "again.zarr", format=format)
    assert list(again) == list(store)
    for image_id, image in store.items():
        np.testing.assert_array_equal(again[image_id].read("labels"), image.read("labels"))


@pytest.mark.parametrize("to", EXPORTERS)
def test_cells_without_pixels_are_named(hiding, tmp_path, to):
    report = export(hiding, to, tmp_path / "out")
    assert report.hidden == {"a": (3,)}
    *named, summary = report.notes()
    assert named[:2] == ["1 cell without pixels, left out:", "  a: row 3"]
    assert len(named) == 2 + len(report.losses)
    assert summary == f"{tmp_path / 'out'}: 2 images, 3 cells, as {to}"
    assert_same_labels(hiding, to, tmp_path)


@pytest.mark.parametrize("to", KINDS)
def test_the_same_bytes_for_any_number_of_jobs(store, tmp_path, to):
    for jobs in (1, 2):
        folder = tmp_path / str(jobs)
        export(store, to, folder / "out", jobs)
        assert [path.name for path in folder.iterdir()] == ["out"]
    assert tree(tmp_path / "1") == tree(tmp_path / "2")
    assert tree(tmp_path / "1")


def some_csv(content):
    return f"{content.image_id}\n"


def late_first(content):
    """Encode the first image last."""
    time.sleep(1 if content.image_id == "a" else 0)
    return content.image_id


def join_lines(whole, parts):
    yield from (f"{image.id} {part}\n" for image, part in parts)


def test_parts_come_in_order_whichever_worker_was_first(store, tmp_path, monkeypatch):
    monkeypatch.setitem(EXPORTERS, "late", OneFile(late_first, join_lines))
    export(store, "late", tmp_path / "out", jobs=2)
    assert (tmp_path / "out").read_text() == "a a\nb b\nc c\n"


def test_rows_of_the_csv(store, tmp_path):
    export(store, "kaggle-csv", tmp_path / "out.csv")
    assert (tmp_path / "out.csv").read_text().splitlines() == [
        HEADER,
        "a,1 2 7 2,6,5,round",
        "a,16 1 18 1 22 3,6,5,spindle",
        "a,17 1,6,5,round",
        'b,,4,3,"round, or not"',
        "c,1 1 6 1 11 1,4,3,round",
        "c,8 1,4,3,",
    ]


def test_an_image_whose_cells_are_all_hidden_has_a_row(write_csv, tmp_path):
    csv = write_csv("a,1 2,6,5,round", "a,1 2,6,5,round")
    store = build(csv, tmp_path / "s.zarr", recipe=Recipe(overlap="background"))
    assert export(store, "kaggle-csv", tmp_path / "out.csv").hidden == {"a": (2, 3)}
    assert (tmp_path / "out.csv").read_text().splitlines()[1:] == ["a,,6,5,round"]


def test_entries_of_coco(store, tmp_path, capsys):
    export(store, "coco", tmp_path / "out.json")
    data = json.loads((tmp_path / "out.json").read_text())
    assert [(image["id"], image["file_name"], image["width"], image["height"]) for image in data["images"]] == [
        (1, "a.png", 6, 5),
        (2, "b.png", 4, 3),
        (3, "c.png", 4, 3),
    ]
    names = {category["id"]: category["name"] for category in data["categories"]}
    assert list(names.values()) == ["cell", "round", "spindle"]
    found = [(e["id"], e["image_id"], names[e["category_id"]], e["area"], e["bbox"]) for e in data["annotations"]]
    assert found == [
        (1, 1, "round", 4, [0, 0, 2, 2]),
        (2, 1, "spindle", 5, [3, 2, 3, 2]),
        (3, 1, "round", 1, [4, 2, 1, 1]),
        (4, 3, "round", 3, [0, 0, 3, 3]),
        (5, 3, "cell", 1, [3, 1, 1, 1]),
    ]
    assert {entry["iscrowd"] for entry in data["annotations"]} == {0}


def test_a_store_without_types_has_one_category(write_csv, tmp_path):
    store = build(write_csv("a,1 2,6,5", header="id,annotation,width,height"), tmp_path / "s.zarr")
    export(store, "coco", tmp_path / "out.json")
    data = json.loads((tmp_path / "out.json").read_text())
    assert data["categories"] == [{"id": 1, "name": "cell", "supercategory": "cell"}]
    assert data["annotations"][0]["category_id"] == 1


def rewrite(store, image_id, **arrays):
    """Replace arrays of an image in a store."""
    image = store[image_id]
    ours = {name: image.read(name) for name in image.arrays} | arrays
    attributes = {k: value for k, value in image.attributes.items() if k not in ("arrays", "bytes", "complete")}
    with StoreWriter(store.path) as writer:
        write_image(writer.workspace / image_id, ImageContent(ours, attributes, None))
        writer.commit(image_id)


@pytest.mark.parametrize("to", EXPORTERS)
def test_regions_to_ignore_are_crowds_or_named(store, tmp_path, to):
    ignore = np.zeros((5, 6), np.uint8)
    ignore[4, 1:] = 255
    rewrite(store, "a", ignore=ignore)
    rewrite(store, "b", ignore=np.zeros((3, 4), np.uint8))
    report = export(store, to, tmp_path / "out")
    if "ignore" not in EXPORTERS[to].holds:
        assert report.losses["ignore"] == 1
        words = f"1 image with regions to ignore, which {to} cannot express:"
        assert report.notes()[report.notes().index(words) + 1] == "  a"
        assert_same_labels(store, to, tmp_path)
        return
    assert "ignore" not in report.losses
    data = COCO(str(tmp_path / "out"))
    crowds = data.loadAnns(data.getAnnIds(iscrowd=True))
    assert [(crowd["image_id"], crowd["category_id"], crowd["area"]) for crowd in crowds] == [
        (1, k, 5) for k in (1, 2, 3)
    ]
    for crowd in crowds:
        np.testing.assert_array_equal(data.annToMask(crowd), ignore > 0)
    read = build(tmp_path / "out", tmp_path / "again.zarr", format="coco")["a"]
    np.testing.assert_array_equal(read.read("ignore"), store["a"].read("ignore") > 0)
    assert sorted(data.anns) == list(range(1, 9))
    assert len(data.getAnnIds(iscrowd=False)) == 5


@given(masks())
def test_masks_of_coco_are_what_pycocotools_encodes(stack):
    labels = labels_of(stack)
    image = content(labels)
    entries = coco.encode(image)
    for label, entry in zip(image.visible, entries, strict=True):
        theirs = coco_mask.encode(np.asfortranarray(labels == label, np.uint8))
        assert entry["segmentation"]["counts"].encode() == theirs["counts"]
        assert entry["segmentation"]["size"] == theirs["size"]
        y, x = np.nonzero(labels == label)
        assert entry["area"] == len(y)
        assert entry["bbox"] == [x.min(), y.min(), np.ptp(x) + 1, np.ptp(y) + 1]


def test_coco_of_more_cells_than_pycocotools_counts():
    """Some versions of it cannot tell the areas of more than 255 masks."""
    labels = np.arange(1, 901, dtype=np.uint16).reshape(30, 30)
    assert [entry["area"] for entry in coco.encode(content(labels))] == [1] * 900


@given(masks())
def test_rows_of_random_images(stack):
    labels = labels_of(stack)
    lines = kaggle_csv.encode(content(labels)).splitlines()
    texts = [line.split(",")[1] for line in lines]
    found = parse_rle([text for text in texts if text], labels.shape).to_masks()
    assert len(lines) == max(1, len(found))
    for label, mask in zip(np.unique(labels[labels > 0]), found, strict=True):
        np.testing.assert_array_equal(mask, labels == label)


@given(masks())
def test_outlines_of_random_images(stack):
    labels = labels_of(stack)
    collection = json.loads(geojson.encode(content(labels)))
    found = np.zeros(labels.shape, int)
    for feature in collection["features"]:
        found += int(feature["properties"]["name"]) * fill(feature["geometry"], labels.shape)
    np.testing.assert_array_equal(found, labels)


def test_features_are_as_qupath_takes_them(store, tmp_path):
    export(store, "geojson", tmp_path / "out")
    collections = {image_id: json.loads((tmp_path / "out" / f"{image_id}.geojson").read_text()) for image_id in store}
    assert collections["b"] == {"type": "FeatureCollection", "features": []}
    ids = []
    for collection in collections.values():
        assert collection["type"] == "FeatureCollection"
        for feature in collection["features"]:
            assert list(feature) == ["type", "id", "geometry", "properties"]
            assert feature["type"] == "Feature"
            assert str(uuid.UUID(feature["id"])) == feature["id"]
            assert feature["properties"]["objectType"] == "annotation"
            ids.append(feature["id"])
    assert len(set(ids)) == len(ids) == 5
    first, second = collections["c"]["features"]
    assert first["properties"] == {"objectType": "annotation", "name": "1", "classification": {"name": "round"}}
    assert second["properties"] == {"objectType": "annotation", "name": "2"}
    assert first["geometry"] == {
        "type": "MultiPolygon",
        "coordinates": [[[[k, k], [k + 1, k], [k + 1, k + 1], [k, k + 1], [k, k]]] for k in range(3)],
    }
    assert second["geometry"] == {"type": "Polygon", "coordinates": [[[3, 1], [4, 1], [4, 2], [3, 2], [3, 1]]]}


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
@pytest.mark.parametrize("pixel_size", [None, 0.325])
def test_label_tiffs(tmp_path, dtype, pixel_size):
    labels = np.arange(12, dtype=dtype).reshape(3, 4) + np.iinfo(dtype).max // 2
    path = tmp_path / "x.tif"
    path.write_bytes(label_tiff.encode(content(labels, visible=[], cell_types=[], pixel_size=pixel_size))["x.tif"])
    with tifffile.TiffFile(path) as tiff:
        page = tiff.pages.first
        assert (tiff.is_ome, page.compression.name, page.dtype) == (True, "ADOBE_DEFLATE", dtype)
        pixels = tifffile.xml2dict(tiff.ome_metadata)["OME"]["Image"]["Pixels"]
        if pixel_size:
            assert (pixels["PhysicalSizeX"], pixels["PhysicalSizeXUnit"]) == (0.325, "µm")
            assert (pixels["PhysicalSizeY"], pixels["PhysicalSizeYUnit"]) == (0.325, "µm")
            assert page.resolutionunit.name == "CENTIMETER"
            assert page.resolution == pytest.approx((1e4 / 0.325, 1e4 / 0.325))
        else:
            assert "PhysicalSizeX" not in pixels
            assert page.resolution == (1, 1)
    np.testing.assert_array_equal(tifffile.imread(path), labels)
    np.testing.assert_array_equal(ImageFile(path).decode(), labels)


@pytest.mark.parametrize("pixel_size", [None, 1.0])
def test_the_pixel_size_is_that_of_the_store(write_csv, tmp_path, pixel_size):
    store = build(write_csv(*ROWS), tmp_path / "s.zarr", pixel_size=pixel_size)
    assert read_content(store["a"]).pixel_size == pixel_size


def break_chunk(image):
    image.joinpath("labels/instances/0/c/0/0").write_bytes(b"not what was written")


def contradict(image):
    rewrite(open_store(image.parent), image.name, cells=np.zeros((0, 3), np.int64), labels=np.ones((3, 4), np.uint16))


def lose_metadata(image):
    image.joinpath("zarr.json").unlink()


DAMAGES = {
    "metadata": (lose_metadata, "its zarr.json is missing or damaged: remove it with cellprep verify --repair"),
    "chunk": (break_chunk, "is damaged: its checksum does not match"),
    "contradiction": (contradict, "its labels and its table of 0 cells are inconsistent"),
}


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize(("damage", "problem"), DAMAGES.values(), ids=DAMAGES.keys())
def test_a_damaged_image_fails_alone(store, tmp_path, to, damage, problem):
    damage(store.path / "b")
    report = export(store, to, tmp_path / "out")
    assert list(report.failures) == ["b"]
    assert problem in report.failures["b"]
    assert report.errors()[0] == "error: 1 of 3 images failed:"
    assert report.images == 2
    assert sorted(READ_BACK[to][0](tmp_path / "out", store, tmp_path / "again.zarr")) == ["a", "c"]


@pytest.mark.parametrize("to", KINDS)
def test_nothing_is_written_if_all_images_fail(store, tmp_path, to):
    for image_id in store:
        break_chunk(store.path / image_id)
    before = tree(tmp_path)
    report = export(store, to, tmp_path / "out")
    assert report.errors()[0] == f"error: 3 of 3 images failed; {tmp_path / 'out'} was not written:"
    assert report.notes() == []
    assert tree(tmp_path) == before


def encode_or_die(content):
    if content.image_id == "b":
        os.kill(os.getpid(), signal.SIGKILL)
    return content.image_id.encode()


def test_a_killed_worker_costs_its_image_only(store, tmp_path, monkeypatch):
    monkeypatch.setitem(EXPORTERS, "deadly", FilePerImage(encode_or_die, ".txt"))
    report = export(store, "deadly", tmp_path / "out", jobs=2)
    assert list(report.failures) == ["b"]
    assert "was killed" in report.failures["b"]
    assert output(tmp_path / "out") == {"a.txt": b"a", "c.txt": b"c"}


def fail(content):
    raise ZeroDivisionError("of\nsome sort")


def use_all_memory(content):
    raise MemoryError


@pytest.mark.parametrize(
    ("encode", "problem"),
    [(fail, "unexpected ZeroDivisionError: of some sort; please report this"), (use_all_memory, "not enough memory")],
)
def test_whatever_happens_is_told(store, tmp_path, monkeypatch, encode, problem):
    monkeypatch.setitem(EXPORTERS, "faulty", FilePerImage(encode, ".txt"))
    report = export(store, "faulty", tmp_path / "out")
    assert len(report.failures) == 3
    assert all(problem in line for line in report.failures.values())


def fill_disk(content):
    raise OSError(28, "No space left on device")


def no_parts(whole, parts):
    yield from (part for _, part in parts)
    raise OSError(28, "No space left on device")


@pytest.mark.parametrize(
    "full",
    [FilePerImage(fill_disk, ".txt"), OneFile(some_csv, no_parts)],
    ids=["in a worker", "in the one file"],
)
def test_a_full_disk_leaves_nothing(store, tmp_path, monkeypatch, full):
    monkeypatch.setitem(EXPORTERS, "full", full)
    before = tree(tmp_path)
    with pytest.raises(OutputError, match=r"cannot write .*out: No space left on device"):
        export(store, "full", tmp_path / "out", jobs=2)
    assert tree(tmp_path) == before
    assert not list(tmp_path.glob(".*"))


def interrupt(whole, parts):
    yield from (part for _, part in parts)
    raise KeyboardInterrupt


def test_an_interrupt_leaves_nothing(store, tmp_path, monkeypatch):
    monkeypatch.setitem(EXPORTERS, "interrupted", OneFile(some_csv, interrupt))
    with pytest.raises(KeyboardInterrupt):
        export(store, "interrupted", tmp_path / "out")
    assert not (tmp_path / "out").exists()
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("to", KINDS)
@pytest.mark.parametrize("kind", ["file", "folder", "broken link"])
def test_what_is_there_is_left_alone(store, tmp_path, to, kind):
    out = tmp_path / "out"
    if kind == "file":
        out.write_text("mine")
    elif kind == "folder":
        out.mkdir()
        (out / "mine").write_text("mine")
    else:
        out.symlink_to(tmp_path / "nowhere")
    before = tree(tmp_path)
    with pytest.raises(OutputError, match="out already exists and is not overwritten"):
        export(store, to, out)
    assert tree(tmp_path) == before


@pytest.mark.parametrize("to", KINDS)
def test_an_empty_folder_is_nothing(store, tmp_path, to):
    (tmp_path / "out").mkdir()
    assert export(store, to, tmp_path / "out").images == 3
    assert_same_labels(store, to, tmp_path)


def test_a_place_that_cannot_be(store, tmp_path):
    (tmp_path / "file").write_text("mine")
    with pytest.raises(OutputError, match=r"cannot write .*file/out: "):
        export(store, "coco", tmp_path / "file" / "out")


def test_an_empty_store(tmp_path):
    with StoreWriter(tmp_path / "s.zarr") as writer:
        writer.set_attributes({})
    with pytest.raises(StoreError, match=r"s.zarr has no images to export"):
        export(open_store(tmp_path / "s.zarr"), "coco", tmp_path / "out")


def test_wrong_usage(store, tmp_path):
    with pytest.raises(UsageError, match="export format 'png' is unknown: use one of kaggle-csv, coco, "):
        export(store, "png", tmp_path / "out")
    with pytest.raises(UsageError, match="jobs is 0: give 1 or more"):
        export(store, "coco", tmp_path / "out", jobs=0)


def test_the_command(cli, store, tmp_path):
    args = ("export", store.path, "--out", tmp_path / "out.json", "--jobs", 1, "--to")
    result = cli(*args, "coco")
    assert (result.exit_code, result.stdout) == (0, "")
    assert result.stderr.endswith(f"{tmp_path / 'out.json'}: 3 images, 5 cells, as coco\n")
    again = cli(*args, "coco")
    assert again.exit_code == 1
    assert again.stderr == (
        f"error: {tmp_path / 'out.json'} already exists: replace it with --overwrite, or choose another path\n"
    )
    assert cli(*args, "png", "--overwrite").exit_code == 2
    assert cli("export", tmp_path, "--to", "coco", "--out", tmp_path / "x").stderr == (
        f"error: {tmp_path} is not a cellprep store\n"
    )


def test_the_command_tells_failures(cli, store, tmp_path):
    break_chunk(store.path / "b")
    result = cli("export", store.path, "--to", "geojson", "--out", tmp_path / "out", "--jobs", 1, "--quiet")
    assert result.exit_code == 1
    assert result.stderr.startswith("error: 1 of 3 images failed:\n  b: ")
    assert result.stderr.count("\n") == 2


def test_help_names_the_formats(cli):
    text = " ".join(cli("export", "--help").output.replace("│", " ").split())
    assert ", ".join(EXPORTERS) + "." in text


# Real images. ----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def real_store(test_data, tmp_path_factory):
    """Some images of cells and some of nuclei, in one store."""
    folder = tmp_path_factory.mktemp("real")
    lines = (test_data / "sartorius" / "train.csv").read_text().splitlines()
    ids = sorted({line.partition(",")[0] for line in lines[1:]})[::60]
    rows = [line for line in lines[1:] if line.partition(",")[0] in set(ids)]
    for path in sorted((test_data / "dsb2018" / "masks").iterdir())[::200]:
        labels = tifffile.imread(path)
        height, width = labels.shape
        rows += [f"{path.stem},{text},{width},{height},nucleus" for text in encode_labels(labels) if text]
    (folder / "train.csv").write_text("\n".join(["id,annotation,width,height,cell_type", *rows]))
    return build(folder / "train.csv", folder / "data.zarr")


@pytest.mark.slow
@pytest.mark.parametrize("to", EXPORTERS)
def test_gives_back_real_labels(real_store, tmp_path, to):
    report = export(real_store, to, tmp_path / "out", jobs=2)
    assert report.images == len(real_store) == 8
    assert_same_labels(real_store, to, tmp_path)
