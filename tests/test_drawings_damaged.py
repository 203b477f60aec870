"""Damaged and malicious files of annotation tools, and the messages about them."""

import gzip
import json

import drawn as tools
import pytest

from cellprep import BuildOptions, build_targets, check_source, open_source, open_store
from cellprep.commands.check import CheckOptions
from cellprep.errors import AnnotationError, CellprepError, SourceError

TOO_FEW = "a polygon has 2 points: it needs at least three different points"
BEYOND = "its polygon, x 9 to 11, y 0 to 2, is outside its image, 4 x 3 (width x height): correct it, or exclude it"
BEYOND_RING = [[x + 9, y] for x, y in tools.SQUARE]
CORNERS = [[0, 0], [2, 2]]


# The document of an image, and the words of the error.
DAMAGED = {
    "geojson, points and lines": (
        tools.collection(
            tools.feature("Point", [1, 1]),
            tools.feature(),
            tools.feature("LineString", tools.SQUARE),
            {**tools.feature(), "geometry": None},
        ),
        "a.geojson: 3 features of 4 without an area: feature 1 (Point), feature 3 (LineString), feature 4 (",
    ),
    "geojson, a collection of geometries": (
        {**tools.feature(), "geometry": {"type": "GeometryCollection", "geometries": []}},
        "feature 1: its geometry is a GeometryCollection: split it into features with one Polygon or MultiPolygon each",
    ),
    "geojson, too few points": (
        tools.collection(tools.feature(), tools.feature(coordinates=[tools.SQUARE[:2]])),
        f"a.geojson feature 2: {TOO_FEW}",
    ),
    "geojson, no point": (
        tools.feature(coordinates=[[]]),
        "feature 1: a polygon has 0 points: it needs at least three different points",
    ),
    "geojson, outside": (tools.feature(coordinates=[BEYOND_RING]), BEYOND),
    "geojson, no numbers": (tools.feature(coordinates=[[["a", 1]]]), "feature 1: its x is 'a': it must be a number"),
    "geojson, no ring": (tools.feature(coordinates=[]), "feature 1: its Polygon has no rings"),
    "geojson, no feature": (
        tools.collection(3),
        "feature 1: it is 3, not a feature with type, geometry and properties",
    ),
    "geojson, no features": ({"type": "FeatureCollection"}, "its features are missing, or null: they must be a list"),
    "geojson, regions around cells": (
        tools.collection(tools.feature(), tools.QUPATH_CELL),
        "a.geojson has 1 annotation and 1 detection of QuPath; the annotations are most likely regions around",
    ),
    "geojson, a core": (
        tools.feature(objectType="tma_core"),
        "feature 1: it is a tma_core of QuPath, not one of annotation,",
    ),
    "geojson, planes": (
        tools.collection(
            *[
                {**tools.feature(), "geometry": {**tools.feature()["geometry"], "plane": {"z": z, "t": 0}}}
                for z in (0, 2)
            ]
        ),
        "a.geojson has objects of several planes, z 0 t 0, z 2 t 0: export those of one plane",
    ),
    "geojson, cut": (
        '{"type": "FeatureCollection", "features": [',
        "a.geojson is not a GeoJSON file of outlines: it ends in the middle",
    ),
    "geojson, deep": ('{"type": "FeatureCollection", "features": ' + "[" * 9000, "its lists are nested too deeply"),
    "labelme, no size": (
        tools.labelme(imageHeight=None),
        "a.json: its imageHeight is missing, or null: it must be a whole number of",
    ),
    "labelme, points and lines": (
        tools.labelme(tools.drawn("point", [[1, 1]]), tools.drawn("linestrip", tools.SQUARE)),
        "a.json: 2 shapes of 2 without an area: shape 1 (point), shape 2 (linestrip): draw outlines around the cells",
    ),
    "labelme, unknown": (
        tools.labelme(tools.drawn("cuboid", tools.SQUARE)),
        "shape 1: its shape_type is 'cuboid': only polygon, rectangle, circle",
    ),
    "labelme, too few points": (tools.labelme(tools.drawn("polygon", tools.SQUARE[:2])), f"a.json shape 1: {TOO_FEW}"),
    "labelme, one corner": (
        tools.labelme(tools.drawn("rectangle", [[1, 1]])),
        "shape 1: a rectangle must have two points, but this one has 1",
    ),
    "labelme, a mask of another size": (
        tools.labelme(tools.drawn("mask", CORNERS, mask=tools.png([[1, 1]]))),
        "shape 1: its mask is 1 x 2 (height x width), but its points span 3 x 3",
    ),
    "labelme, a mask outside": (
        tools.labelme(tools.drawn("mask", [[3, 0], [4, 0]], mask=tools.png([[1, 1]]))),
        "shape 1: its mask, 1 x 2 (height x width) at row 0, column 3, exceeds the image, 3 x 4",
    ),
    "labelme, no mask": (
        tools.labelme(tools.drawn("mask", CORNERS)),
        "shape 1: its mask is missing, or null: it must be a PNG in base64",
    ),
    "labelme, no PNG": (
        tools.labelme(tools.drawn("mask", CORNERS, mask="abcd")),
        "shape 1: its mask is not a readable PNG",
    ),
    "labelme, no shapes": (
        tools.labelme(shapes={}),
        "a.json is not a LabelMe file: its shapes are an object of 0: they must be a list",
    ),
    "labelme, cut": (
        '{"version": "5", "shapes": [{"shape_type": "polygon"',
        "a.json is not a LabelMe file: it ends in the middle of its JSON: copy or export it again",
    ),
    "yolo, a box": (
        "0 0 0 1 0 1 1\n0 .5 .5 .1 .1",
        "a.txt line 2: it has 5 numbers, a class and a box, but boxes are not masks",
    ),
    "yolo, odd": (
        "0 0 0 1 0 1 1 .9",
        "a.txt line 1: it has 7 numbers after its class: it needs x and y of each point",
    ),
    "yolo, pixels": (
        "0 0 0 1 0 1 1\n0 0 0 1 0 1 1\n" * 10 + "0 5 6 7 8 9 10",
        "line 21: it has a coordinate of 5: in YOLO they are relative to",
    ),
    "yolo, no number": (
        "0 0 0 1 0 1 1\n" * 20 + "0 a b c d e f",
        "line 21: its coordinate is 'a': it must be a number",
    ),
    "cvat, points and lines": (
        tools.cvat('<points points="1,1"/><polyline points="0,0;1,1"/>'),
        "image 'a.png': 2 shapes of 2 without an area: shape 1 (points), shape 2 (polyline)",
    ),
    "cvat, too few points": (tools.cvat(tools.polygon("0,0;1,1")), f"a.xml image 'a.png' shape 1: {TOO_FEW}"),
    "cvat, no point": (tools.cvat(tools.polygon("0,0;1;2,2")), "shape 1: its point '1' is not x,y"),
    "cvat, too short a mask": (
        tools.cvat(tools.MASKED.format("1, 2")),
        "shape 1: its rle has 3 pixels, but its box is 2 x 2 (width x height)",
    ),
    "cvat, no lengths": (
        tools.cvat(tools.MASKED.format("1, -2, 5")),
        "shape 1: its rle contains '-2': it must be lengths of runs",
    ),
    "cvat, a mask of gigabytes": (
        tools.cvat(tools.MASKED.format("0, 999999998000000001").replace('"2"', '"999999999"')),
        "shape 1: its mask, 999999999 x 999999999 (height x width) at row 0, column 1, exceeds the image,",
    ),
    "cvat, no ellipse": (
        tools.cvat('<ellipse cx="1" cy="1" rx="0" ry="1"/>'),
        "shape 1: an ellipse needs a finite centre and radii above 0",
    ),
    "cvat, no box": (tools.cvat('<box xtl="1"/>'), "shape 1: its ytl is missing, or null: it must be a number"),
    "cvat, no size": (
        tools.cvat("", 'id="0" name="a.png"'),
        "image 'a.png': its size is '' x '' (height x width): in CVAT, export",
    ),
    "cvat, the same name": (
        tools.cvat('</image><image id="1" name="a.png" width="4" height="3">'),
        "image 'a.png': 2 of its images have this name: names must be unique",
    ),
    "via, points": (
        [tools.via_region({"name": "point", "cx": 1, "cy": 1})],
        "image 'a.png': 1 region of 1 without an area: region 1",
    ),
    "via, unequal": (
        [tools.via_region({**tools.VIA_SQUARE, "all_points_x": [1]})],
        "region 1: its all_points_x are [1] and its all_points_y a list of 4: they must be lists of equal length",
    ),
    "via, unknown": (
        [tools.via_region({"name": "star"})],
        "region 1: its shape is 'star': only polygon, rect, circle and ellipse are",
    ),
    "via, nothing": ([3], "region 1: its shape_attributes are missing, or null"),
    "label studio, key points": (
        [tools.task(tools.region("keypoint", {"x": 1, "y": 1}), tools.region("polygon", {"points": tools.PERCENT}))],
        "image 'a.png': 1 region of 2 without an area: region 1 (keypoint)",
    ),
    "label studio, a brush of another size": (
        [tools.task(tools.region("brush", {"format": "rle", "rle": [0, 0, 0, 9, *tools.PACKED[4:]]}))],
        "region 1: its rle has 9 values, but its image of 3 x 4 (height x width) has 48, four for each pixel",
    ),
    "label studio, a brush that is cut": (
        [tools.task(tools.region("brush", {"format": "rle", "rle": tools.PACKED[:9]}))],
        "region 1: its rle ends before its values are complete",
    ),
    "label studio, a brush of nothing": (
        [tools.task(tools.region("brush", {}))],
        "region 1: its format is missing, or null and its rle missing",
    ),
    "label studio, unknown": (
        [
            tools.task(tools.region("bitmask", {})),
        ],
        "region 1: its type is 'bitmasklabels': only polygon, brush, rectangle, ell",
    ),
    "label studio, no region": (
        [tools.task(3)],
        "region 1: its type is 3: only polygon, brush, rectangle, ellipse are supported",
    ),
    "label studio, a turned image": (
        [tools.task(tools.region("polygon", {"points": tools.PERCENT}, image_rotation=90))],
        "region 1: its image was rotated by 90 degrees: annotate it without rotation",
    ),
    "label studio, two sizes": (
        [tools.task(tools.region("polygon", {}), tools.region("polygon", {}, original_width=5))],
        "image 'a.png': its regions have different sizes of the image, such as 3 x 4 and 3 x 5 (height x width)",
    ),
    "label studio, no annotations": (
        [tools.task(annotations=3)],
        "image 'a.png': its annotations are 3: they must be a list of objects",
    ),
}


ENDS = {"geojson": ".geojson", "yolo": ".txt", "cvat": ".xml"}


@pytest.mark.parametrize("name", DAMAGED)
def test_what_is_damaged_is_named(tmp_path, name):
    document, words = DAMAGED[name]
    format = name.partition(",")[0].replace(" ", "-")  # noqa: A001
    path = tmp_path / f"a{ENDS.get(format, '.json')}"
    if format == "via":
        document = {"a.png1": {"filename": "a.png", "size": 1, "regions": document}}
    path.write_text(document if isinstance(document, str) else json.dumps(document))
    source = open_source(path)
    assert source.format == format
    (record,) = source.images()
    with pytest.raises(CellprepError) as caught:
        if hasattr(record, "problem"):
            raise AnnotationError(record.problem)
        record.load(tools.SHAPE)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


REFUSED = {
    "track.xml": (
        "<annotations><version>1.1</version><track id='0'/></annotations>",
        "is CVAT XML for video, whose shapes",
    ),
    "entity.xml": (
        '<!DOCTYPE x [<!ENTITY a "b">]><annotations><version>1.1</version>&a;</annotations>',
        "has a document type (<!DOCTYPE>), which CVAT does not write",
    ),
    "cut.xml": ("<annotations><version>1.1</version><image", "is not CVAT XML: it is broken in line 1, column"),
    "empty.xml": ("<annotations><version>1.1</version></annotations>", "has no annotations: it lists no images"),
    "encoding.xml": ('<?xml version="1.0" encoding="x"?><annotations><version>', "is not CVAT XML"),
    "via.csv": (tools.via_csv({}) + "a.png,1\n", "via.csv row 2: it has 2 fields, not 7: export it again"),
    "cut.csv": (tools.via_csv({}) + 'a.png,1,"{', "cut.csv is not a VIA file: its CSV cannot be read"),
    "via.json": ('{"_via_img_metadata": 3}', "is not a VIA file: its images are 3: they must be an object"),
    "tasks.json": (
        '[{"data": {"image": "a"}, "annotations": [{"completed_by"',
        "is not a Label Studio export: it ends in the",
    ),
    "boxes.txt": (
        "0 .5 .5 .1 .2",
        "this is a YOLO label with boxes instead of masks, or a folder of these: export the data set",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_cannot_be_read_says_whose_it_is(tmp_path, name):
    content, words = REFUSED[name]
    (tmp_path / name).write_text(content)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / name)
    assert words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_gzip_that_is_damaged(tmp_path):
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(b"{}" * 100)[:-9])
    with pytest.raises(AnnotationError, match=r"a\.geojson\.gz is damaged, its gzip cannot be decompressed"):
        tools.only(tmp_path / "a.geojson.gz").load(tools.SHAPE)


def test_gzip_of_more_than_memory_holds(tmp_path, monkeypatch):
    def refuse(size, what):
        if size > 4 * 10**7:
            raise SourceError(f"{what} takes too much")

    monkeypatch.setattr("cellprep.formats.geojson.reader.check_memory", refuse)
    (tmp_path / "a.geojson.gz").write_bytes(gzip.compress(bytes(10**8), 1))
    with pytest.raises(SourceError, match="decompressed, takes too much"):
        tools.only(tmp_path / "a.geojson.gz").load(tools.SHAPE)


@pytest.mark.timeout(20)
@pytest.mark.parametrize("kind", ["laughs", "deep", "quadratic"])
def test_xml_that_was_made_to_do_harm(tmp_path, kind):
    head = "<annotations><version>1.1</version>"
    if kind == "laughs":
        entities = "".join(f'<!ENTITY a{k + 1} "{f"&a{k};" * 10}">' for k in range(9))
        text = f'<!DOCTYPE x [<!ENTITY a0 "ha">{entities}]>{head}&a9;</annotations>'
    elif kind == "deep":
        text = head + "<a>" * 300_000
    else:
        attributes = " ".join(f"a{k}='1'" for k in range(100_000))
        text = f"{head}<image {attributes}/></annotations>"
    (tmp_path / "a.xml").write_text(text)
    with pytest.raises(SourceError) if kind != "quadratic" else pytest.raises(AnnotationError):
        raise AnnotationError(tools.only(tmp_path / "a.xml").problem)


def test_faulty_shapes_are_flagged_and_can_be_left_out(tmp_path):
    shapes = [tools.drawn("polygon", tools.SQUARE), tools.drawn("point", [[1, 1]]), tools.drawn("polygon", BEYOND_RING)]
    (tmp_path / "a.json").write_text(json.dumps(tools.labelme(*shapes)))
    source = open_source(tmp_path / "a.json")
    report = check_source(source, CheckOptions(rules=("fault",), jobs=1, quiet=True))
    assert [finding.row for finding in report.flagged] == [2, 3]
    report.write_flags(tmp_path / "flags.csv")
    options = BuildOptions(exclude=tmp_path / "flags.csv", jobs=1, quiet=True)
    assert build_targets(source, tmp_path / "s.zarr", options).failures == {}
    assert open_store(tmp_path / "s.zarr")["a"].read("labels").sum() == 4
