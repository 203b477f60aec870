"""Files of annotation tools: as written by the tools, with real cells in each format, and damaged ones."""

import gzip
import json

import drawn as tools
import numpy as np
import pytest
from PIL import Image
from test_areas import brush_stroke

from cellprep import BuildOptions, build_targets, export_labels, open_source, open_store
from cellprep.core.outlines import trace_outlines
from cellprep.errors import SourceError, UsageError


def painted(record, shape=tools.SHAPE):
    """The labels 1, 2, ... of an image's annotations, whatever their rows are."""
    found = record.load(shape if record.needs_shape else None)
    return found.runs.paint(np.arange(1, len(found.rows) + 1)).tolist(), found


# As the tools write them: the documents, the labels of a 3 x 4 image, the rows and the types.

HOLED = [[[0, 0], [3, 0], [3, 3], [0, 3], [0, 0]], [[1, 1], [1, 2], [2, 2], [2, 1], [1, 1]]]


ABOVE = [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]]
FAR = [[[3, 0], [4, 0], [4, 1], [3, 1], [3, 0]]]

GEOJSON = {
    "a cell of QuPath, whose nucleus is left aside": (
        tools.collection(tools.QUPATH_CELL),
        ABOVE,
        (1,),
        ("Tumor: Positive",),
    ),
    "a detection": (
        tools.collection(tools.feature(objectType="detection", classification={"names": ["A", "B"]})),
        ABOVE,
        (1,),
        ("A: B",),
    ),
    "a hole": (
        tools.collection(tools.feature(coordinates=HOLED)),
        [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]],
        (1,),
        ("",),
    ),
    "parts": (
        tools.collection(tools.feature("MultiPolygon", [[tools.SQUARE], FAR], classification="x")),
        [[1, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 0]],
        (1,),
        ("x",),
    ),
    "names that are labels": (
        tools.collection(tools.feature(name="7"), tools.feature(coordinates=FAR, name="3")),
        [[1, 1, 0, 2], [1, 1, 0, 0], [0, 0, 0, 0]],
        (7, 3),
        ("", ""),
    ),
    "names that are none": (
        tools.collection(tools.feature(name="7"), tools.feature(name="7")),
        np.multiply(2, ABOVE).tolist(),
        (1, 2),
        ("", ""),
    ),
    "a feature": (tools.feature(), ABOVE, (1,), ("",)),
    "a list of features": ([tools.feature()], ABOVE, (1,), ("",)),
    "a geometry": ({"type": "Polygon", "coordinates": [tools.SQUARE]}, ABOVE, (1,), ("",)),
    "z in points": (tools.feature(coordinates=[[[x, y, 5] for x, y in tools.SQUARE]]), ABOVE, (1,), ("",)),
    "nothing": (tools.collection(), np.zeros(tools.SHAPE, int).tolist(), (), ()),
}


@pytest.mark.parametrize("ending", [".geojson", ".json", ".geojson.gz"])
@pytest.mark.parametrize("name", GEOJSON)
def test_geojson(tmp_path, name, ending):
    document, labels, rows, types = GEOJSON[name]
    content = json.dumps(document).encode()
    path = tmp_path / f"a.tif{ending}"
    path.write_bytes(gzip.compress(content) if ending.endswith(".gz") else content)
    source = open_source(path)
    assert (source.format, source.image_ids, source.needs_images) == ("geojson", ["a"], True)
    found, annotations = painted(tools.only(path))
    assert (found, annotations.rows, annotations.cell_types) == (labels, rows, types)
    has_nuclei = ending != ".geojson.gz" and "QuPath" in name
    assert ["nucleusGeometry" in note for note in source.notes] == [True] * has_nuclei


@pytest.mark.parametrize("measured", [{"Area": 4, "Score": 0.5}, [{"name": "Detection probability", "value": 0.5}]])
def test_scores_of_features_count_if_all_have_one(tmp_path, measured):
    for name, properties in {"a": {"measurements": measured}, "b": {}}.items():
        document = tools.collection(tools.feature(measurements=measured), tools.feature(**properties))
        (tmp_path / f"{name}.geojson").write_text(json.dumps(document))
    a, b = (record.load(tools.SHAPE) for record in open_source(tmp_path).images())
    assert (a.scores, b.scores) == ((0.5, 0.5), None)


LABELME = {
    "polygon": (tools.labelme(tools.drawn("polygon", tools.SQUARE[:4])), ABOVE, (1,), ("cell",)),
    "four corners": (tools.labelme(tools.drawn("rectangle", tools.SQUARE[:4])), ABOVE, (1,), ("cell",)),
    "rectangle, from its last corner": (
        tools.labelme(tools.drawn("rectangle", [[2, 2], [0, 0]])),
        ABOVE,
        (1,),
        ("cell",),
    ),
    "circle": (tools.labelme(tools.drawn("circle", [[1, 1], [1, 2]])), ABOVE, (1,), ("cell",)),
    "mask": (
        tools.labelme(tools.drawn("mask", [[1, 0], [2, 1]], mask=tools.png([[1, 1], [0, 1]]))),
        [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]],
        (1,),
        ("cell",),
    ),
    "a group": (
        tools.labelme(
            tools.drawn("polygon", tools.SQUARE[:4], group=5),
            tools.drawn("polygon", FAR[0], "b", 5),
            tools.drawn("polygon", FAR[0], group=5),
        ),
        [[1, 1, 0, 2], [1, 1, 0, 0], [0, 0, 0, 0]],
        (1, 2),
        ("cell", "b"),
    ),
}


@pytest.mark.parametrize("name", LABELME)
def test_labelme(tmp_path, name):
    document, labels, rows, types = LABELME[name]
    (tmp_path / "a.json").write_text(json.dumps(document))
    Image.fromarray(np.zeros(tools.SHAPE, np.uint8)).save(tmp_path / "a.png")
    source = open_source(tmp_path)
    assert (source.format, source.needs_images, source.has_pixels) == ("labelme", False, True)
    found, annotations = painted(tools.only(tmp_path))
    assert (found, annotations.rows) == (labels, rows) or name == "a group"
    assert annotations.cell_types == types
    assert annotations.runs.areas.tolist() == ([5, 1] if name == "a group" else [np.count_nonzero(labels)])


NAMES = {
    "data.yaml": "path: ../cells\ntrain: images\nnames:\n  0: round\n  1: long\n",
    "dataset.yml": "names: [round, long]",
    "classes.txt": "round\r\nlong\r\n",
    None: "",
}


@pytest.mark.parametrize("file", NAMES, ids=str)
def test_yolo(tmp_path, file):
    """As Ultralytics writes them, with six decimals; images elsewhere in the data set; an image without cells."""
    for kind in ("images", "labels"):
        (tmp_path / kind / "train").mkdir(parents=True)
    for name in "ab":
        Image.fromarray(np.zeros(tools.SHAPE, np.uint8)).save(tmp_path / "images/train" / f"{name}.png")
    lines = [
        "1 0.000000 0.000000 0.500000 0.000000 0.500000 0.666667 0.000000 0.666667",
        "",
        "0 .75 0 1 0 1 .333333 .75 .333333",
    ]
    (tmp_path / "labels/train/a.txt").write_text("\n".join(lines))
    (tmp_path / "labels/train/b.txt").write_text("")
    if file:
        (tmp_path / file).write_text(NAMES[file])
    for place, has_pixels in ((tmp_path, True), (tmp_path / "labels/train", False)):
        source = open_source(place)
        assert (source.format, source.image_ids, source.has_pixels) == ("yolo", ["a", "b"], has_pixels)
        a, b = source.images()
        labels, found = painted(a)
        assert labels == [[1, 1, 0, 2], [1, 1, 0, 0], [0, 0, 0, 0]]
        assert (found.rows, found.cell_types) == ((1, 3), ("long", "round") if file else ("1", "0"))
        assert len(b.load(tools.SHAPE).rows) == 0
    report = build_targets(open_source(tmp_path), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert (report.new, report.failures) == (2, {})


CVAT = {
    "polygon": (tools.polygon(z_order=0), ABOVE, (1,), ("a",)),
    "mask": (tools.MASKED.format("0, 2, 1, 1"), [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]], (1,), ("m",)),
    "box": ('<box label="b" xtl="0.00" ytl="0.00" xbr="2.00" ybr="2.00" z_order="0"></box>', ABOVE, (1,), ("b",)),
    "turned box": (
        '<box label="b" xtl="1.0" ytl="0.0" xbr="2.0" ybr="3.0" rotation="90.00"/>',
        [[0, 0, 0, 0], [1, 1, 1, 0], [0, 0, 0, 0]],
        (1,),
        ("b",),
    ),
    "ellipse": ('<ellipse label="e" cx="1.00" cy="1.00" rx="1.00" ry="1.00" z_order="0"/>', ABOVE, (1,), ("e",)),
    "a group": (
        tools.polygon(group_id=2)
        + tools.polygon("3,0;4,0;4,1;3,1", group_id=2)
        + tools.polygon("3,1;4,1;4,2;3,2", group_id=0),
        [[1, 1, 0, 1], [1, 1, 0, 2], [0, 0, 0, 0]],
        (1, 3),
        ("a", "a"),
    ),
    "z_order": (
        tools.polygon(z_order=3) + tools.polygon(label="below", z_order=-1),
        np.multiply(2, ABOVE).tolist(),
        (2, 1),
        ("below", "a"),
    ),
    "a tag": ('<tag label="good" source="manual"></tag>' + tools.polygon(), ABOVE, (1,), ("a",)),
    "nothing": ("", np.zeros(tools.SHAPE, int).tolist(), (), ()),
}
CVAT_NOTES = {
    "box": ["note: 1 rectangle taken as cells of this shape"],
    "turned box": ["note: 1 rectangle taken as cells of this shape"],
    "z_order": ["note: shapes are sorted by z_order: use --overlap later-on-top to keep this order"],
    "a tag": ["note: skipped, as these are not shapes: 1 tag"],
}


@pytest.mark.parametrize("name", CVAT)
def test_cvat(tmp_path, name):
    shapes, labels, rows, types = CVAT[name]
    (tmp_path / "annotations.xml").write_text(tools.cvat(shapes))
    source = open_source(tmp_path / "annotations.xml")
    assert (source.format, source.file_names, source.needs_images) == ("cvat", {"a": "a.png"}, False)
    found, annotations = painted(tools.only(source.path))
    assert (found, annotations.rows, annotations.cell_types) == (labels, rows, types)
    expected = CVAT_NOTES.get(name, [])
    assert [note[: len(part)] for note, part in zip(source.notes, expected, strict=True)] == expected


VIA = {
    "polygon": tools.VIA_SQUARE,
    "rect": {"name": "rect", "x": 0, "y": 0, "width": 2, "height": 2},
    "circle": {"name": "circle", "cx": 1, "cy": 1, "r": 1},
    "ellipse": {"name": "ellipse", "cx": 1, "cy": 1, "rx": 1, "ry": 0.9, "theta": np.pi / 2},
}


def via_project(images, **attributes):
    return {
        "_via_settings": {"ui": {}, "core": {}, "project": {"name": "p"}},
        "_via_img_metadata": images,
        "_via_attributes": {"region": attributes, "file": {}},
        "_via_data_format_version": "2.0.10",
    }


@pytest.mark.parametrize("kind", ["project", "annotations", "version 1", "csv"])
@pytest.mark.parametrize("name", VIA)
def test_via(tmp_path, name, kind):
    regions = [tools.via_region(VIA[name], type="round", note="3")]
    others = {"filename": "b.png", "size": 5, "regions": [], "file_attributes": {}}
    images = {"a.png9": {"filename": "a.png", "size": 9, "regions": regions, "file_attributes": {}}, "b.png5": others}
    if kind == "csv":
        text, path = tools.via_csv(images), tmp_path / "via_region_data.csv"
    else:
        if kind == "version 1":
            images["a.png9"]["regions"] = dict(enumerate(regions))
        document = via_project(images, type={"type": "dropdown", "options": {"round": ""}}, note={"type": "text"})
        text, path = json.dumps(document if kind == "project" else images), tmp_path / "via.json"
    path.write_text(text)
    source = open_source(path)
    assert (source.format, source.image_ids, source.needs_images) == ("via", ["a", "b"], True)
    a, b = source.images()
    labels, found = painted(a)
    assert labels == (ABOVE if name != "ellipse" else labels)
    assert found.runs.areas.tolist() == [4]
    assert found.cell_types == (("round",) if kind == "project" else ("",))
    assert len(b.load(tools.SHAPE).rows) == 0
    assert ("cell types are taken from the attribute 'type' of regions" in source.notes) == (kind == "project")


def test_the_only_attribute_of_via_is_the_type(tmp_path):
    image = {
        "filename": "a.png",
        "size": 1,
        "regions": [tools.via_region(tools.VIA_SQUARE, type=name) for name in ("a", "b")],
    }
    (tmp_path / "a.json").write_text(json.dumps({"a.png1": image}))
    assert tools.only(tmp_path / "a.json").load(tools.SHAPE).cell_types == ("a", "b")


LABEL_STUDIO = {
    "polygon": (tools.region("polygon", {"points": tools.PERCENT, "closed": True}), ABOVE),
    "brush": (
        tools.region("brush", {"format": "rle", "rle": tools.PACKED}),
        [[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]],
    ),
    "rectangle": (tools.region("rectangle", {"x": 0, "y": 0, "width": 50, "height": 200 / 3, "rotation": 0}), ABOVE),
    "turned rectangle": (
        tools.region("rectangle", {"x": 50, "y": 0, "width": 50, "height": 100 / 3, "rotation": 90}),
        [[0, 1, 0, 0], [0, 1, 0, 0], [0, 0, 0, 0]],
    ),
    "ellipse": (
        tools.region("ellipse", {"x": 25, "y": 100 / 3, "radiusX": 25, "radiusY": 100 / 3, "rotation": 0}),
        ABOVE,
    ),
}


@pytest.mark.parametrize("name", LABEL_STUDIO)
def test_label_studio(tmp_path, name):
    result, labels = LABEL_STUDIO[name]
    choices = {"type": "choices", "value": {"choices": ["good"]}, "id": "x", "from_name": "quality", "to_name": "image"}
    (tmp_path / "a.json").write_text(json.dumps([tools.task(choices, result)]))
    source = open_source(tmp_path / "a.json")
    assert (source.format, source.file_names, source.needs_images) == ("label-studio", {"a": "a.png"}, False)
    found, annotations = painted(tools.only(source.path))
    assert (found, annotations.rows, annotations.cell_types) == (labels, (1,), ("Cell",))


def test_labels_of_label_studio_beside_their_shapes(tmp_path):
    """As the tags Polygon and Labels write them: two entries of one id."""
    shape = {
        **tools.region("polygon", {"points": tools.PERCENT}),
        "type": "polygon",
        "value": {"points": tools.PERCENT},
    }
    label = {**shape, "type": "labels", "value": {"points": tools.PERCENT, "labels": ["Nucleus"]}}
    (tmp_path / "a.json").write_text(json.dumps([tools.task(shape, label)]))
    assert tools.only(tmp_path / "a.json").load().cell_types == ("Nucleus",)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("/data/upload/3/1f2e3d4c-a-1.png", "a-1.png"),
        ("s3://bucket/plate/1f2e3d4c-a.png", "1f2e3d4c-a.png"),
        ("/data/local-files/?d=plate%201/a.png", "a.png"),
        ("https://example.org/a.png?x=1", "a.png"),
    ],
)
def test_the_image_of_a_task(tmp_path, address, name):
    (tmp_path / "a.json").write_text(json.dumps([tools.task(image=address)]))
    assert list(open_source(tmp_path / "a.json").file_names.values()) == [name]


def test_annotations_of_several_people_are_refused_unless_one_is_the_truth(tmp_path):
    other = {"id": 8, "result": [], "was_cancelled": False, "ground_truth": False}
    tasks = [tools.task(image=f"/data/upload/1/{name}.png") for name in "abcd"]
    for one in tasks[:3]:
        one["annotations"].append(dict(other))
    tasks[1]["annotations"][1]["ground_truth"] = True
    tasks[2]["annotations"][0]["was_cancelled"] = True
    tasks[3]["annotations"] = []
    (tmp_path / "a.json").write_text(json.dumps(tasks))
    source = open_source(tmp_path / "a.json")
    assert (source.image_ids, source.unannotated) == (["a", "b", "c"], ["d.png"])
    a, b, c = source.images()
    assert (
        "it has 2 annotations (7, 8), by several people or at several times: in Label Studio, mark one as ground"
        in a.problem
    )
    assert (len(b.load(tools.SHAPE).rows), len(c.load(tools.SHAPE).rows)) == (0, 0)


# Real cells, by obvious encoders; those without holes and parts where the format knows neither.


def outlines(mask):
    top, bottom, left, right = box(mask)
    traced = trace_outlines(mask[top:bottom, left:right].astype(np.uint8))[1]
    return [[np.add(ring, (left, top)).tolist() for ring in rings] for rings in traced]


def box(mask):
    ys, xs = np.nonzero(mask)
    return ys.min(), ys.max() + 1, xs.min(), xs.max() + 1


def write_geojson(folder, cells):
    for name, masks in cells.items():
        features = [tools.feature("MultiPolygon", outlines(mask)) for mask in masks]
        (folder / f"{name}.geojson").write_text(json.dumps(tools.collection(*features)))
    return folder


def write_labelme(folder, cells):
    for name, masks in cells.items():
        shapes = []
        for mask in masks:
            top, bottom, left, right = map(int, box(mask))
            corners = [[left, top], [right - 1, bottom - 1]]
            shapes.append(tools.drawn("mask", corners, mask=tools.png(mask[top:bottom, left:right])))
        height, width = masks.shape[1:]
        (folder / f"{name}.json").write_text(json.dumps(tools.labelme(*shapes, imageHeight=height, imageWidth=width)))
    return folder


def write_cvat(folder, cells):
    images = []
    for name, masks in cells.items():
        shapes = []
        for mask in masks:
            top, bottom, left, right = box(mask)
            flat = mask[top:bottom, left:right].ravel()
            edges = np.flatnonzero(np.diff(flat, prepend=False))
            rle = ", ".join(map(str, np.diff(edges, prepend=0, append=flat.size)))
            place = f'left="{left}" top="{top}" width="{right - left}" height="{bottom - top}"'
            shapes.append(f'<mask label="cell" rle="{rle}" {place}/>')
        size = f'width="{masks.shape[2]}" height="{masks.shape[1]}"'
        images.append(f'<image id="{len(images)}" name="{name}.png" {size}>{"".join(shapes)}</image>')
    (folder / "a.xml").write_text(f"<annotations><version>1.1</version>{''.join(images)}</annotations>")
    return folder / "a.xml"


def write_label_studio(folder, cells):
    tasks = []
    for name, masks in cells.items():
        size = {"original_height": masks.shape[1], "original_width": masks.shape[2]}
        results = [tools.region("brush", {"format": "rle", "rle": brush_stroke(mask)}, **size) for mask in masks[:9]]
        tasks.append(tools.task(*results, image=f"/data/upload/1/{name}.png"))
    (folder / "a.json").write_text(json.dumps(tasks))
    return folder / "a.json"


def write_yolo(folder, cells):
    for name, masks in cells.items():
        height, width = masks.shape[1:]
        rings = [outlines(mask)[0][0][:-1] for mask in masks]
        lines = ["0 " + " ".join(f"{x / width:.6f} {y / height:.6f}" for x, y in ring) for ring in rings]
        (folder / f"{name}.txt").write_text("\n".join(lines))
    return folder


def write_via(folder, cells):
    images = {}
    for name, masks in cells.items():
        rings = [np.transpose(outlines(mask)[0][0][:-1]).tolist() for mask in masks]
        regions = [tools.via_region({"name": "polygon", "all_points_x": xs, "all_points_y": ys}) for xs, ys in rings]
        images[name] = {"filename": f"{name}.png", "size": 1, "regions": regions}
    (folder / "a.json").write_text(json.dumps(images))
    return folder / "a.json"


WRITERS = {
    "geojson": write_geojson,
    "labelme": write_labelme,
    "cvat": write_cvat,
    "label-studio": write_label_studio,
    "yolo": write_yolo,
    "via": write_via,
}


@pytest.fixture(scope="module")
def cells(sartorius):
    """The masks of two real images: 173 cells, of which 59 have holes or parts, and which overlap."""
    return {image.image_id: image.load().runs.to_masks() for image in list(open_source(sartorius).images())[:8:7]}


@pytest.mark.parametrize("name", WRITERS)
def test_real_cells_come_back(cells, tmp_path, name):
    known = cells
    if name in ("yolo", "via"):
        simple = {
            key: [len(found := outlines(mask)) == len(found[0]) == 1 for mask in stack] for key, stack in cells.items()
        }
        known = {key: stack[np.array(simple[key])] for key, stack in cells.items()}
    source = open_source(WRITERS[name](tmp_path, known))
    assert source.format == name
    found = {image.image_id: image.load(known[image.image_id].shape[1:]).runs.to_masks() for image in source.images()}
    assert sum(map(len, found.values())) == {"label-studio": 18, "yolo": 114, "via": 114}.get(name, 173)
    for image_id, masks in found.items():
        np.testing.assert_array_equal(masks, known[image_id][: len(masks)])


def test_the_labels_of_a_store_come_back_from_our_own_geojson(sartorius, tmp_path):
    """With the numbers that they have in the store, of which hidden cells leave some out."""
    source = open_source(sartorius)
    few = tuple(source.image_ids[:2])
    build_targets(source, tmp_path / "s.zarr", BuildOptions(only=few, images=False, jobs=1, quiet=True))
    store = open_store(tmp_path / "s.zarr")
    export_labels(store, "geojson", tmp_path / "out", jobs=1, quiet=True)
    for record in open_source(tmp_path / "out").images():
        labels = store[record.image_id].read("labels")
        found = record.load(labels.shape)
        np.testing.assert_array_equal(found.runs.paint(np.array(found.rows)), labels)


# Folders, exclusions and pieces.


def test_files_of_several_formats_in_a_folder_are_refused(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(tools.labelme()))
    (tmp_path / "b.geojson").write_text(json.dumps(tools.collection()))
    with pytest.raises(SourceError, match="files of several formats: select one with --format geojson, labelme"):
        open_source(tmp_path)
    assert open_source(tmp_path, "labelme").image_ids == ["a"]
    assert open_source(tmp_path, "geojson").image_ids == ["b"]


def test_masks_by_name_go_before_drawings(tmp_path):
    (tmp_path / "masks").mkdir()
    Image.fromarray(np.array(ABOVE, np.uint8)).save(tmp_path / "masks/a.png")
    (tmp_path / "a.json").write_text(json.dumps(tools.labelme()))
    assert open_source(tmp_path).format == "label-folder"


def test_an_image_without_its_file_fails_alone(tmp_path):
    for name in "ab":
        (tmp_path / f"{name}.geojson").write_text(json.dumps(tools.feature()))
    Image.fromarray(np.zeros(tools.SHAPE, np.uint8)).save(tmp_path / "a.png")
    Image.fromarray(np.zeros(tools.SHAPE, np.uint8)).save(tmp_path / "c.png")
    source = open_source(tmp_path)
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert (report.new, list(report.failures), source.unannotated) == (1, ["b"], ["c.png"])
    assert (
        "b.geojson does not have the size of its image, and there is no image file: give the images (--images)"
        in report.failures["b"]
    )


def test_images_are_asked_for_where_only_they_tell_sizes(tmp_path):
    (tmp_path / "a.geojson").write_text(json.dumps(tools.feature()))
    options = BuildOptions(jobs=1, quiet=True)
    with pytest.raises(UsageError, match=r"a\.geojson does not have the sizes of its images: give the image files"):
        build_targets(open_source(tmp_path / "a.geojson"), tmp_path / "s.zarr", options)
    Image.fromarray(np.zeros(tools.SHAPE, np.uint8)).save(tmp_path / "a.png")
    assert build_targets(open_source(tmp_path / "a.geojson"), tmp_path / "s.zarr", options).new == 1


def test_a_size_that_contradicts_the_image(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(tools.labelme(tools.drawn("polygon", tools.SQUARE), imageHeight=5)))
    Image.fromarray(np.zeros(tools.SHAPE, np.uint8)).save(tmp_path / "a.png")
    report = build_targets(open_source(tmp_path), tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert "3 x 4" in report.failures["a"] and "5 x 4" in report.failures["a"]


CLASSES = [[1, 1, 0, 2], [0, 0, 2, 0], [1, 2, 2, 0]]


@pytest.mark.parametrize(
    ("components", "labels", "types"),
    [
        (4, [[1, 1, 0, 2], [0, 0, 3, 0], [4, 3, 3, 0]], ("1", "2", "2", "1")),
        (8, [[1, 1, 0, 2], [0, 0, 2, 0], [3, 2, 2, 0]], ("1", "2", "1")),
    ],
)
def test_connected_pieces_of_masks_of_classes(cli, tmp_path, components, labels, types):
    (tmp_path / "labels").mkdir()
    Image.fromarray(np.array(CLASSES, np.uint8)).save(tmp_path / "labels/a.png")
    (record,) = open_source(tmp_path / "labels", components=components).images()
    found, annotations = painted(record)
    assert (found, annotations.cell_types) == (labels, types)
    out = ("--out", tmp_path / "s.zarr", "--jobs", 1)
    result = cli("build-targets", tmp_path / "labels", "--components", components, *out)
    assert (
        f"labels: label-folder, connected components ({components} neighbours) as cells, images: 1\n" in result.stderr
    )
    assert open_store(tmp_path / "s.zarr")["a"].read("labels").tolist() == labels
    cli("build-targets", tmp_path / "labels", *out)
    assert open_store(tmp_path / "s.zarr")["a"].read("labels").max() == 2  # built again, as the recipe differs


def test_connected_pieces_of_mask_files(tmp_path):
    (tmp_path / "train/a/masks").mkdir(parents=True)
    for name in "01":
        Image.fromarray(np.array([[0, 255, 0, 255]], np.uint8)).save(tmp_path / f"train/a/masks/{name}.png")
    (record,) = open_source(tmp_path / "train", "mask-folder", components=8).images()
    assert record.load().rows == (1, 2, 3, 4)
    assert record.without({2, 3}).load().runs.areas.tolist() == [1, 1]
    assert record.load().runs.paint(np.arange(1, 5)).tolist() == [[0, 3, 0, 4]]


def test_pieces_are_asked_for_of_masks_only(tmp_path):
    (tmp_path / "a.json").write_text(json.dumps(tools.labelme()))
    with pytest.raises(UsageError, match="components=6 is unknown: use one of 4, 8"):
        open_source(tmp_path / "a.json", components=6)
    with pytest.raises(UsageError, match="has the format labelme, to which --components does not apply"):
        open_source(tmp_path / "a.json", components=4)
