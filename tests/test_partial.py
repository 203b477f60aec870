"""Partially annotated images: other regions are neither cell nor background, in any format."""

import json

import numpy as np
import pytest
import tifffile
from conftest import HEADER, masks
from drawn import SHAPE, collection, cvat, drawn, feature, labelme, only, region, task
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pycocotools.coco import COCO
from test_formats import cellpose_seg, ome_zarr

from cellprep import build_targets, check_source, convert, evaluate, measure, open_source, open_store
from cellprep.core.rle import runs_from_masks
from cellprep.errors import UsageError
from cellprep.formats.annotations.partial import Partial
from cellprep.formats.annotations.record import Annotations

TYPES = st.sampled_from(["cell", "cell", "", "void", "field"])


@given(masks(max_count=8), st.data(), st.sampled_from(["row", "column"]), st.booleans(), st.booleans())
def test_parts_are_those_of_a_slow_restatement(stack, data, order, drop_edge, fields):
    types = data.draw(st.lists(TYPES, min_size=len(stack), max_size=len(stack)))
    types = types if fields else ["cell" if name == "field" else name for name in types]
    crowd = np.zeros(stack.shape[1:], bool)
    crowd[:1, :2] = True
    found = Annotations(runs_from_masks(stack, order), tuple(range(len(stack))), tuple(types), "", ignore=crowd)
    partial = Partial(ignore_classes="void", annotated_classes=["field"] * fields, drop_edge=drop_edge)
    if fields and "field" not in types:
        return
    part = found.part(partial)

    void = np.zeros_like(crowd)
    annotated = np.full_like(crowd, not fields)
    for mask, name in zip(stack, types, strict=True):
        void |= mask & (name == "void")
        annotated |= mask & (name == "field")
    kept, cells, ignored = [], np.zeros_like(crowd), void | ~annotated
    for row, (mask, name) in enumerate(zip(stack, types, strict=True)):
        if name in ("void", "field"):
            continue
        at_edge = mask[[0, -1]].any() or mask[:, [0, -1]].any()
        if (drop_edge and at_edge) or (mask & (void | ~annotated)).sum() > mask.sum() / 2:
            ignored = ignored | mask
        else:
            kept.append(row)
            cells |= mask
    expected = (ignored & ~cells) | crowd
    assert part.rows == tuple(kept)
    np.testing.assert_array_equal(part.runs.to_masks(), stack[kept])
    np.testing.assert_array_equal(np.zeros_like(crowd) if part.ignore is None else part.ignore, expected)
    assert (part.ignored.regions, part.ignored.annotated) == (types.count("void"), types.count("field"))
    assert len(part.rows) + sum(part.ignored.counts().values()) == len(stack)
    assert part.ignored.absent == {f"class {name}" for name in partial.classes if name not in types}
    assert part.cell_type in ("cell", "")


# In labels: a cell, another at the edge, and unannotated pixels.
LABELS = np.zeros((6, 7), np.int64)
LABELS[1:3, 1:4] = 1
LABELS[5, 3:6] = 2
LABELS[3:, :2] = 9


def labels_with(number, dtype):
    return np.where(LABELS == 9, number, LABELS).astype(dtype)


def tiff(folder, labels):
    (folder / "labels").mkdir()
    tifffile.imwrite(folder / "labels/a.tif", labels)
    return folder / "labels"


def png(folder, labels):
    (folder / "labels").mkdir()
    Image.fromarray(labels).save(folder / "labels/a.png")
    return folder / "labels"


def ome(folder, labels):
    path = ome_zarr(folder)
    import zarr

    zarr.open_group(path, mode="a")["labels/cells"].create_array("0", data=labels, overwrite=True)
    return path


def seg(folder, labels):
    path = cellpose_seg(folder)
    np.save(path / "a_seg.npy", {"masks": labels, "filename": "a.png"})
    return path


@pytest.mark.parametrize(
    ("write", "number", "dtype"),
    [
        (tiff, -1, np.int16),
        (tiff, 65535, np.uint16),
        (tiff, -1, np.float32),
        (png, 255, np.uint8),
        (ome, 2**40, np.uint64),
        (seg, -1, np.int32),
    ],
    ids=lambda value: getattr(value, "__name__", str(value)),
)
def test_numbers_of_label_images(tmp_path, write, number, dtype):
    path = write(tmp_path, labels_with(number, dtype))
    found = open_source(path, ignore_labels=number)
    (record,) = found.images()
    cells = record.load()
    assert cells.rows == (1, 2)
    np.testing.assert_array_equal(cells.ignore, LABELS == 9)
    assert cells.ignored.regions == 1
    assert only(path).partial.content() != record.partial.content()
    assert only(path).fingerprint() != record.fingerprint()


def test_numbers_are_those_of_the_file_where_the_background_was_less_than_0(tmp_path):
    """Cellpose once wrote -1 for background, and 0 for the first cell."""
    path = seg(tmp_path, labels_with(9, np.int32) - 1)
    (record,) = open_source(path, ignore_labels=8).images()
    np.testing.assert_array_equal(record.load().ignore, LABELS == 9)


def test_numbers_are_no_pieces(tmp_path):
    path = tiff(tmp_path, labels_with(255, np.uint8))
    (record,) = open_source(path, components=8, ignore_labels=[255, 300]).images()
    assert (record.load().cell_types, record.load().ignore.sum()) == (("1", "2"), 6)


FIELD = [[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]]
CELL = [[1, 1], [2, 1], [2, 2], [1, 2], [1, 1]]
OUTSIDE = [[3, 0], [4, 0], [4, 1], [3, 1], [3, 0]]


def geojson(folder):
    """Cells are detections, as QuPath has them, and the field an annotation around them."""
    cells = [feature(coordinates=[ring], objectType="detection") for ring in (CELL, OUTSIDE)]
    document = collection(feature(coordinates=[FIELD], classification={"name": "field"}), *cells)
    (folder / "a.geojson").write_text(json.dumps(document))
    return folder / "a.geojson"


def labelme_json(folder):
    shapes = [drawn("rectangle", [[0, 0], [3, 3]], "field"), drawn("polygon", CELL), drawn("polygon", OUTSIDE)]
    (folder / "a.json").write_text(json.dumps(labelme(*shapes)))
    return folder / "a.json"


def cvat_xml(folder):
    def points(ring):
        return ";".join(f"{x},{y}" for x, y in ring[:-1])

    box = '<box label="field" xtl="0" ytl="0" xbr="3" ybr="3"></box>'
    polygons = [f'<polygon label="a" points="{points(ring)}"></polygon>' for ring in (CELL, OUTSIDE)]
    (folder / "a.xml").write_text(cvat("".join([box, *polygons])))
    return folder / "a.xml"


def label_studio(folder):
    def percent(ring):
        return {"points": [[25 * x, 100 / 3 * y] for x, y in ring[:-1]]}

    box = region("rectangle", {"x": 0, "y": 0, "width": 75, "height": 100, "rotation": 0}, "field")
    results = [box, region("polygon", percent(CELL)), region("polygon", percent(OUTSIDE))]
    (folder / "a.json").write_text(json.dumps([task(*results)]))
    return folder / "a.json"


def kaggle(folder):
    rows = ["a,1 3 5 3 9 3,4,3,field", "a,6 1,4,3,x", "a,4 1,4,3,x"]
    (folder / "a.csv").write_text("\n".join([HEADER, *rows]))
    return folder / "a.csv"


def coco(folder):
    categories = [{"id": 1, "name": "field"}, {"id": 2, "name": "cell"}]
    annotations = [
        {"id": k, "image_id": 1, "category_id": kind, "segmentation": [np.ravel(ring[:-1]).tolist()]}
        for k, (kind, ring) in enumerate([(1, FIELD), (2, CELL), (2, OUTSIDE)], start=1)
    ]
    images = [{"id": 1, "file_name": "a.png", "height": 3, "width": 4}]
    (folder / "a.json").write_text(json.dumps({"images": images, "categories": categories, "annotations": annotations}))
    return folder / "a.json"


FIELDS = [geojson, labelme_json, cvat_xml, label_studio, kaggle, coco]


@pytest.mark.parametrize("write", FIELDS, ids=lambda write: write.__name__)
def test_fields_that_are_annotated(tmp_path, write):
    """The second cell lies outside of the field, and is ignored with all that is there."""
    source = open_source(write(tmp_path), annotated_classes="field")
    (record,) = source.images()
    cells = record.load(SHAPE if record.needs_shape else None)
    assert len(cells.runs) == 1
    assert cells.runs.to_masks()[0, 1, 1]
    np.testing.assert_array_equal(cells.ignore, [[0, 0, 0, 1]] * 3)
    assert cells.ignored == (0, 1, 0, 1, frozenset())
    assert "field" not in {*cells.cell_types, cells.cell_type}
    assert not [note for note in source.notes if "rectangle" in note]


def test_an_image_without_a_field_fails(tmp_path):
    source = open_source(kaggle(tmp_path), annotated_classes=["plot"], ignore_classes="void")
    report = build_targets(source, tmp_path / "a.zarr", jobs=1, quiet=True)
    assert report.failures == {
        "a": "a.csv image 'a': it has no region of the class 'plot', which marks the annotated part: draw "
        "one, or exclude the image (--exclude)"
    }


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"ignore_labels": 255},
            r"a.csv has the format kaggle-csv, which has no label images: --ignore-label applies to",
        ),
        ({"ignore_classes": "x", "annotated_classes": "x"}, "class 'x' is given both as ignored and as annotated"),
        ({"ignore_classes": ""}, "a class of regions is empty: give its name"),
        ({"ignore_labels": "255"}, "ignore_labels contains '255': give whole numbers"),
        ({"ignore_label": 255}, "there is no option ignore_label: did you mean ignore_labels"),
    ],
)
def test_impossible_options(tmp_path, options, message):
    with pytest.raises(UsageError, match=message):
        open_source(kaggle(tmp_path), **options)


# Commands. -------------------------------------------------------------------------------------------------

GIVEN = ["--ignore-label", "-1", "--drop-edge"]
SAID = "labels: to ignore: label -1; cells at the edge\n"
TOLD = "1 region ignored, 1 cell at the edge ignored\n"


@pytest.fixture
def folder(tmp_path):
    return tiff(tmp_path, labels_with(-1, np.int16))


def test_every_command_on_sources_says_what_is_ignored(cli, folder, tmp_path):
    (tmp_path / "found").mkdir()
    tifffile.imwrite(tmp_path / "found/a.tif", (LABELS > 0).astype(np.uint8))
    for line in [
        ["check", folder],
        ["measure", folder, "--out", tmp_path / "cells.csv"],
        ["report", folder, "--out", tmp_path / "r.html"],
        ["convert", folder, "--to", "coco", "--out", tmp_path / "c.json"],
        ["build-targets", folder, "--out", tmp_path / "out"],
        ["build-targets", folder, "--out", tmp_path / "out"],
        ["evaluate", tmp_path / "found", folder, "--predicted-components", "8"],
    ]:
        result = cli(*line, *GIVEN, "--jobs", "1")
        assert result.exit_code == 0, result.output
        assert result.stderr.startswith(SAID), line
        assert TOLD in result.stderr, line
    assert not cli(*line, *GIVEN, "--jobs", "1", "--quiet").stderr
    store = open_store(tmp_path / "out")
    np.testing.assert_array_equal(store["a"].read("ignore"), (LABELS == 9) | (LABELS == 2))
    assert store["a"].metadata.ignored == {"regions": 1, "annotated": 0, "at_edge": 1, "within": 0}
    data = COCO(str(tmp_path / "c.json"))
    assert sorted(entry["iscrowd"] for entry in data.anns.values()) == [0, 1]


def test_what_is_given_in_vain_is_named(cli, folder, tmp_path):
    """A number or class with a slip would leave a region among the cells: it is named unless some image has it."""
    tifffile.imwrite(folder / "b.tif", labels_with(9, np.int16))
    result = cli("check", folder, *GIVEN, "--ignore-label", "9", "--ignore-label", "255", "--ignore-class", "x")
    assert "\n2 regions ignored, 2 cells at the edge ignored\nwarning: no image has class x or label 255\n" in (
        result.stderr
    )
    kept = cli("measure", coco(tmp_path), "--ignore-class", "fields", "--drop-edge", "--out", tmp_path / "cells.csv")
    assert "warning: no image has class fields\n" in kept.stderr


def test_what_is_ignored_counts_in_no_score(folder):
    """A cell in the unannotated region, one at the edge that is drawn too large, and a right one."""
    found = np.where(LABELS == 9, 3, LABELS)
    found[4, 3:5] = 2
    scores = evaluate({"a": found}, folder, ignore_labels=-1, drop_edge=True, jobs=1).scores["overall"]
    assert (scores["truth"], scores["predicted"], scores["false"], scores["missed"]) == (1, 1, 0, 0)
    assert evaluate({"a": found}, {"a": LABELS % 9}, jobs=1).scores["overall"]["false"] == 1


def test_regions_of_the_truth_are_no_predicted_cells_either(tmp_path):
    """Two annotators have drawn the same field; what one drew is scored as if it were predicted."""
    fields = [{"annotated_classes": "field"}, {"ignore_classes": "field"}]
    found = [evaluate(labelme_json(tmp_path), labelme_json(tmp_path), jobs=1, **field) for field in fields]
    counts = [[report.scores["overall"][name] for name in ("truth", "predicted", "merged")] for report in found]
    assert counts == [[1, 1, 0], [1, 1, 0]]


def test_cells_keep_their_numbers(folder, tmp_path):
    labels = {"a": np.rot90(labels_with(255, np.uint8), 2)}
    build_targets(labels, tmp_path / "s.zarr", ignore_labels=255, jobs=1, quiet=True)
    for source in (labels, tmp_path / "s.zarr"):
        given = {"ignore_labels": 255} if source is labels else {}
        assert measure(source, drop_edge=True, properties=["area"], jobs=1, **given)["label"].tolist() == [1]
    assert check_source(tmp_path / "s.zarr", drop_edge=True, jobs=1).cells.total() == 1


def test_types_that_are_regions_are_no_categories(tmp_path):
    for to in ("yolo", "coco"):
        convert(kaggle(tmp_path), to, tmp_path / to, annotated_classes="field", jobs=1, quiet=True)
    assert "field" not in (tmp_path / "yolo/data.yaml").read_text()
    assert [one["name"] for one in COCO(str(tmp_path / "coco")).dataset["categories"]] == ["x"]
