"""Conversion between all formats: results, notes on losses, and images written with them."""

import json
import zipfile

import numpy as np
import pytest
import tifffile
import zarr
from conftest import output, tree
from ome_zarr_models.v05 import Image as OMEImage
from ome_zarr_models.v05 import Labels
from PIL import Image
from pycocotools.coco import COCO
from roifile import ImagejRoi
from test_export import KINDS
from test_formats import MASK, SOURCES

from cellprep import (
    EXPORTERS,
    READERS,
    BuildOptions,
    build_targets,
    convert,
    encode_rle,
    evaluate,
    open_source,
    open_store,
    resolve_overlaps,
)
from cellprep.core.outlines import trace_outlines
from cellprep.core.overlaps import find_overlaps
from cellprep.errors import OutputError, UsageError
from cellprep.formats.writers import FEATURES, OneFile
from cellprep.system.aside import FILES

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# In image a the second cell has a hole and overlaps the first, the third is of two pieces and lies on the second; in
# b there are none.
CELLS = np.zeros((3, 8, 9), bool)
CELLS[0, 1:5, 0:4] = True
CELLS[1, 2:7, 2:8] = True
CELLS[1, 4:6, 5:7] = False
CELLS[2, 6, 2] = CELLS[2, 0, 8] = True
LOST = {"overlaps": 3, "holes": 1, "pieces": 1, "types": 2, "scores": 3, "ignore": 1}


@pytest.fixture
def coco_file(tmp_path):
    """Predicted cells as COCO, with types, scores, a crowd, and an image in a folder."""
    images = [
        {"id": 1, "file_name": "plate/a.png", "width": 9, "height": 8},
        {"id": 2, "file_name": "b.tif", "width": 4, "height": 3},
    ]
    annotations = [
        {"id": k, "image_id": 1, "category_id": category, "score": score, "segmentation": counts(mask)}
        for k, (mask, category, score) in enumerate(zip(CELLS, (1, 2, None), (0.5, 0.75, 1.0), strict=True), start=1)
    ]
    crowd = np.zeros((8, 9), bool)
    crowd[7, 7:] = True
    annotations.append({"id": 9, "image_id": 1, "iscrowd": 1, "segmentation": counts(crowd)})
    categories = [{"id": 1, "name": "round"}, {"id": 2, "name": "long, thin"}]
    path = tmp_path / "cells.json"
    path.write_text(json.dumps({"images": images, "annotations": annotations, "categories": categories}))
    return path


def counts(mask):
    flat = mask.ravel("F")
    changes = np.flatnonzero(np.diff(np.concatenate(([0], flat.astype(int), [2]))))
    return {"size": list(mask.shape), "counts": np.diff([0, *changes]).tolist()}


def convert_quietly(source, to, out, **options):
    return convert(source, to, out, quiet=True, **{"jobs": 1, **options})


@pytest.mark.parametrize("name", READERS)
def test_every_source_is_converted(tmp_path, name):
    source = open_source(SOURCES[name](tmp_path))
    images = tmp_path if source.needs_images else None
    report = convert_quietly(source, "coco", tmp_path / "out.json", images=images)
    assert (report.images, report.cells, report.failures) == (1, 1, {})
    data = COCO(str(tmp_path / "out.json"))
    np.testing.assert_array_equal(data.annToMask(data.anns[1]), MASK)


@pytest.mark.parametrize("to", EXPORTERS)
def test_what_a_format_cannot_hold_is_counted(coco_file, tmp_path, to):
    report = convert_quietly(open_source(coco_file), to, tmp_path / "out")
    assert (report.images, report.cells, report.failures, report.hidden) == (2, 3, {}, {})
    holds, joined = EXPORTERS[to].holds, EXPORTERS[to].joined
    assert report.losses == {name: LOST[name] for name in FEATURES if name in LOST and name not in holds}
    assert report.joined == {name: LOST[name] for name in FEATURES if name in joined}
    assert len(report.notes()) == len(report.losses) + len(report.joined) + ("ignore" in report.losses) + 1
    assert [row["cells"] for row in report.rows] == [3, 0]


SCORED = [
    name for name in EXPORTERS if ("scores" in EXPORTERS[name].holds and name in READERS) or name == "coco-polygons"
]


@pytest.mark.parametrize("to", EXPORTERS)
def test_what_a_format_can_hold_comes_back(coco_file, tmp_path, to):
    """Converted, and read again: all that the format holds is as it was."""
    convert_quietly(open_source(coco_file), to, tmp_path / "out.json")
    again = {record.image_id: record for record in open_source(tmp_path / "out.json", READER_OF.get(to, to)).images()}
    assert again.keys() == {"a", "b"}
    shapes = {"a": (8, 9), "b": (3, 4)}
    found = {name: record.load(shapes[name] if record.needs_shape else None) for name, record in again.items()}
    assert not len(found["b"].runs)
    holds, cells = EXPORTERS[to].holds, found["a"]
    if "overlaps" in holds:
        np.testing.assert_array_equal(cells.runs.to_masks(), CELLS)
    else:
        np.testing.assert_array_equal(cells.runs.paint(np.array([1, 2, 3])), resolved())
    types = ["round", "long, thin", "cell"] if "types" in holds else ["cell"] * 3
    assert [name or "cell" for name in cells.cell_types] == types
    assert cells.scores == ((0.5, 0.75, 1.0) if "scores" in holds else None)
    assert (cells.ignore is not None) == ("ignore" in holds)


READER_OF = {"coco-polygons": "coco", "geojson-detections": "geojson", "label-tiff": "label-folder"}


def resolved():
    """The smaller of two cells lies on top."""
    labels = np.zeros(CELLS.shape[1:], int)
    for number in np.argsort([-mask.sum() for mask in CELLS], kind="stable"):
        labels[CELLS[number]] = number + 1
    return labels


def test_overlaps_are_resolved_by_the_rule(coco_file, tmp_path):
    for rule, expected in (("smaller-on-top", resolved()), ("background", resolved() * (CELLS.sum(axis=0) < 2))):
        convert_quietly(open_source(coco_file), "label-tiff", tmp_path / rule, overlap=rule)
        np.testing.assert_array_equal(tifffile.imread(tmp_path / rule / "a.tif"), expected)


def test_what_is_excluded_is_left_out(coco_file, tmp_path):
    (tmp_path / "flags.csv").write_text("image,row\na,1\na,9\nb,\n")
    options = {"exclude": tmp_path / "flags.csv"}
    report = convert_quietly(open_source(coco_file), "label-tiff", tmp_path / "out", **options)
    assert (report.images, report.cells, report.losses) == (1, 2, {"overlaps": 2, "scores": 2})
    (tmp_path / "flags.csv").write_text("image,row\nc,1\n")
    with pytest.raises(UsageError, match=r"flags.csv names image 'c', which is not in cells.json"):
        convert_quietly(open_source(coco_file), "label-tiff", tmp_path / "again", **options)


def test_a_huge_image_is_resolved_as_any_other(coco_file, tmp_path, monkeypatch):
    monkeypatch.setattr("cellprep.commands.convert.image.is_huge", lambda shape: True)
    monkeypatch.setattr("cellprep.core.windows._SIDE", 3)
    convert_quietly(open_source(coco_file), "label-tiff", tmp_path / "out")
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "out/a.tif"), resolved())


def test_cells_that_others_hide_are_named_where_they_are_lost(write_csv, tmp_path):
    csv = write_csv("a,1 2,6,5,x", "a,1 2,6,5,x", "b,,6,5,x")
    report = convert_quietly(open_source(csv), "label-tiff", tmp_path / "tiffs", overlap="later-on-top")
    assert (report.cells, report.hidden, report.losses["overlaps"]) == (1, {"a": (2,)}, 2)
    assert report.notes()[:2] == ["1 cell without pixels, left out:", "  a: row 2"]
    assert convert_quietly(open_source(csv), "geojson", tmp_path / "outlines").hidden == {}


@pytest.mark.parametrize("to", ["coco", "yolo"])
def test_names_of_files_and_types_are_those_of_the_source(coco_file, tmp_path, to):
    convert_quietly(open_source(coco_file), to, tmp_path / "out")
    if to == "coco":
        data = COCO(str(tmp_path / "out")).dataset
        assert [image["file_name"] for image in data["images"]] == ["plate/a.png", "b.tif"]
        assert [category["name"] for category in data["categories"]] == ["cell", "long, thin", "round"]
        assert [entry["iscrowd"] for entry in data["annotations"]] == [0, 0, 0, 1, 1, 1]
    else:
        lines = (tmp_path / "out/data.yaml").read_text().splitlines()
        assert lines == ["train: images/train", "val: images/train", "names:", '  0: "cell"', '  1: "long, thin"',
                         '  2: "round"']  # fmt: skip
        assert [line[0] for line in (tmp_path / "out/labels/train/a.txt").read_text().splitlines()] == ["2", "1", "0"]


def test_features_of_detections(coco_file, tmp_path):
    convert_quietly(open_source(coco_file), "geojson-detections", tmp_path / "out")
    (first, *_) = json.loads((tmp_path / "out/a.geojson").read_text())["features"]
    assert first["properties"] == {
        "objectType": "detection",
        "name": "1",
        "classification": {"name": "round"},
        "measurements": {"Score": 0.5, "Area px^2": 16.0},
    }


def test_predictions_are_scored_as_they_were(coco_file, tmp_path):
    """Also where overlaps are: what evaluates the file itself and what was converted agrees."""
    truth = open_source(coco_file)
    for to in ("coco-polygons", "imagej-roi"):
        convert_quietly(truth, to, tmp_path / f"{to}.json")
        found = open_source(tmp_path / f"{to}.json", READER_OF.get(to, to))
        images = tmp_path / "images"
        images.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((8, 9), np.uint8)).save(images / "a.png")
        Image.fromarray(np.zeros((3, 4), np.uint8)).save(images / "b.png")
        report = evaluate(found, truth)
        assert report.scores["overall"]["kaggle_map"] == 1


def test_simplified_outlines_are_compared_with_the_cells(tmp_path):
    y, x = np.mgrid[:60, :60]
    disc = (y - 30) ** 2 + (x - 28) ** 2 < 500
    (tmp_path / "cells.csv").write_text(f"id,annotation,width,height\na,{encode_rle(disc[None])[0]},60,60\n")
    source = open_source(tmp_path / "cells.csv")
    report = convert_quietly(source, "coco-polygons", tmp_path / "out", simplify=1.0)
    data = COCO(str(tmp_path / "out"))
    (polygon,) = data.anns[1]["segmentation"]
    found = data.annToMask(data.anns[1]).astype(bool)
    assert 8 < len(polygon) < 60
    assert report.mean_iou == report.min_iou == pytest.approx((found & disc).sum() / (found | disc).sum(), abs=0.02)
    assert 0.9 < report.min_iou < 1
    assert report.notes()[0].startswith(f"IoU of simplified outlines and exact cells: mean {report.mean_iou:.4f}")
    assert convert_quietly(source, "coco-polygons", tmp_path / "exact").mean_iou == 1


# Pictures. -------------------------------------------------------------------------------------------------


@pytest.fixture
def pictures(tmp_path):
    """A folder of images, one of which a tag says to turn."""
    folder = tmp_path / "pictures"
    folder.mkdir()
    rng = np.random.default_rng(0)
    Image.fromarray(rng.integers(0, 255, (8, 9), dtype=np.uint8)).save(folder / "a.png")
    exif = Image.Exif()
    exif[0x112] = 6
    Image.fromarray(rng.integers(0, 255, (4, 3, 3), dtype=np.uint8)).save(folder / "b.jpg", exif=exif, quality=100)
    return folder


PICTURES = {
    "yolo": ["images/train/a.png", "images/train/b.tif"],
    "labelme": ["a.png", "b.tif"],
    "cellpose-seg": ["a.png", "b.tif"],
    "imagej-roi": ["a.png", "b.tif"],
}


@pytest.mark.parametrize("to", PICTURES)
def test_pictures_are_taken_along_upright(coco_file, pictures, tmp_path, to):
    report = convert_quietly(open_source(coco_file), to, tmp_path / "out", images=pictures)
    assert not report.failures
    copied, turned = (tmp_path / "out" / name for name in PICTURES[to])
    assert copied.read_bytes() == (pictures / "a.png").read_bytes()
    assert tifffile.imread(turned).shape == (3, 4, 3)
    if to == "labelme":
        assert json.loads((tmp_path / "out/b.json").read_text())["imagePath"] == "b.tif"
    if to == "cellpose-seg":
        assert np.load(tmp_path / "out/a_seg.npy", allow_pickle=True).item()["filename"] == "a.png"
    if to in READERS:
        again = open_source(tmp_path / "out")
        assert (again.format, again.has_pixels, again.image_ids) == (to, True, ["a", "b"])
        build = build_targets(again, tmp_path / "again.zarr", BuildOptions(jobs=1, quiet=True))
        assert (build.new, build.failures) == (2, {})
    convert_quietly(open_source(coco_file), to, tmp_path / "without", images=False)
    assert not [path for path in tree(tmp_path / "without") if path.endswith((".png", ".tif", ".jpg"))]


def test_ome_zarr_is_valid_and_has_the_pictures(coco_file, pictures, tmp_path):
    convert_quietly(open_source(coco_file), "ome-zarr", tmp_path / "out", images=pictures)
    for name, shape in (("a", (8, 9)), ("b", (3, 3, 4))):
        group = zarr.open_group(tmp_path / "out" / f"{name}.ome.zarr", mode="r")
        image = OMEImage.from_zarr(group)
        assert group[image.attributes.ome.multiscales[0].datasets[0].path].shape == shape
        assert Labels.from_zarr(group["labels"]).attributes.ome.labels == ["instances"]
    properties = zarr.open_group(tmp_path / "out/a.ome.zarr/labels/instances", mode="r").attrs["ome"]["image-label"]
    assert properties["properties"][1] == {"label-value": 2, "class": "long, thin", "score": 0.75}
    assert open_source(tmp_path / "out").has_pixels


def test_a_store_takes_its_own_pictures_along(coco_file, pictures, tmp_path):
    options = BuildOptions(jobs=1, quiet=True, images=pictures)
    build_targets(open_source(coco_file), tmp_path / "data.zarr", options)
    convert_quietly(open_source(tmp_path / "data.zarr"), "yolo", tmp_path / "out")
    for name in ("a", "b"):
        found = tifffile.imread(tmp_path / f"out/images/train/{name}.tif")
        stored = open_store(tmp_path / "data.zarr")[name].read("image")
        np.testing.assert_array_equal(found, stored if stored.ndim == 2 else np.moveaxis(stored, 0, -1))


def test_a_picture_of_another_size_fails_its_image(coco_file, pictures, tmp_path):
    Image.fromarray(np.zeros((5, 5), np.uint8)).save(pictures / "a.png")
    report = convert_quietly(open_source(coco_file), "labelme", tmp_path / "out", images=pictures)
    assert list(report.failures) == ["a"]
    assert "a.png is 5 x 5 (height x width): its annotations are 8 x 9" in report.failures["a"]
    assert [*output(tmp_path / "out")] == ["b.json", "b.tif"]


def test_folds_are_the_parts_of_yolo(coco_file, tmp_path):
    (tmp_path / "folds.csv").write_text("image,fold\na,0\nb,1\n")
    convert_quietly(open_source(coco_file), "yolo", tmp_path / "out", folds=tmp_path / "folds.csv", fold=1)
    assert [*output(tmp_path / "out")] == ["data.yaml", "labels/train/a.txt", "labels/val/b.txt"]
    assert (tmp_path / "out/data.yaml").read_text().startswith("train: images/train\nval: images/val\n")
    (tmp_path / "folds.csv").write_text("image,fold\na,0\n")
    with pytest.raises(UsageError, match="has no fold for image 'b'"):
        convert_quietly(open_source(coco_file), "yolo", tmp_path / "x", folds=tmp_path / "folds.csv", fold=0)


# Runs. -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", ["coco", "yolo", "ome-zarr"])
def test_the_same_bytes_for_any_number_of_jobs(coco_file, pictures, tmp_path, to):
    for jobs in (1, 2):
        convert_quietly(open_source(coco_file), to, tmp_path / str(jobs) / "out", images=pictures, jobs=jobs)
        assert [path.name for path in (tmp_path / str(jobs)).iterdir()] == ["out"]
    assert tree(tmp_path / "1") == tree(tmp_path / "2") != {}


@pytest.mark.parametrize("to", KINDS)
def test_an_image_that_fails_stops_no_other(coco_file, tmp_path, to):
    document = json.loads(coco_file.read_text())
    document["annotations"][0]["segmentation"] = {"size": [8, 9], "counts": [1]}
    coco_file.write_text(json.dumps(document))
    report = convert_quietly(open_source(coco_file), to, tmp_path / "out")
    assert (report.images, list(report.failures)) == (1, ["a"])
    assert report.errors()[0] == "error: 1 of 2 images failed:"
    names = [path for path in output(tmp_path / "out") if not path.endswith("data.yaml")]
    assert isinstance(EXPORTERS[to], OneFile) or all("b" in name.split("/")[-1] or ".zarr" in name for name in names)
    assert {path.name for path in tmp_path.rglob(".*")} <= {FILES}
    document["images"].pop()
    coco_file.write_text(json.dumps(document))
    before = tree(tmp_path)
    report = convert_quietly(open_source(coco_file), to, tmp_path / "again")
    assert report.errors()[0] == f"error: 1 of 1 image failed; {tmp_path / 'again'} was not written:"
    assert tree(tmp_path) == before


@pytest.mark.parametrize(
    ("to", "options", "problem"),
    [
        ("png", {}, "export format 'png' is unknown: use one of kaggle-csv, coco, "),
        ("coco", {"simplify": 1.0}, "coco has no outlines to simplify: .* use one of coco-polygons"),
        ("yolo", {"simplify": -1.0}, "simplify -1.0 is invalid"),
        ("coco", {"overlap": "mine"}, "overlap 'mine' is unknown"),
        ("coco", {"folds": "folds.csv", "fold": 0}, "coco has no folds"),
        ("yolo", {"fold": 0}, "require each other: give the file"),
        ("coco", {"images": True}, "images is the bool True: give a path"),
        ("coco", {"jobs": 0}, "jobs is 0: give 1 or more"),
        ("coco", {"colour": 1}, "there is no option colour"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(coco_file, tmp_path, to, options, problem):
    with pytest.raises(UsageError, match=problem):
        convert_quietly(open_source(coco_file), to, tmp_path / "out", **options)


def test_what_is_there_is_left_alone(coco_file, tmp_path):
    (tmp_path / "out").write_text("mine")
    with pytest.raises(OutputError, match="out already exists and is not overwritten"):
        convert_quietly(open_source(coco_file), "yolo", tmp_path / "out")
    assert (tmp_path / "out").read_text() == "mine"


def test_files_of_two_images_never_share_a_name(tmp_path):
    """An image whose picture is called as the annotations of another one."""
    for name in ("a", "a_seg"):
        (tmp_path / "data").mkdir(exist_ok=True)
        np.save(tmp_path / "data" / f"{name}.npy", np.zeros((3, 4), np.uint8))
    (tmp_path / "cells.csv").write_text("id,annotation,width,height\na,1 2,4,3\na_seg,1 2,4,3\n")
    source = open_source(tmp_path / "cells.csv")
    report = convert_quietly(source, "cellpose-seg", tmp_path / "out", images=tmp_path / "data")
    assert len(report.failures) == report.images == 1


def test_the_command(cli, coco_file, pictures, tmp_path):
    args = ("convert", coco_file, "--out", tmp_path / "out", "--jobs", 1)
    result = cli(*args, "--to", "label-tiff", "--images", pictures)
    assert (result.exit_code, result.stdout) == (0, "")
    lines = result.stderr.splitlines()
    assert lines[-1] == f"{tmp_path / 'out'}: 2 images, 3 cells, as label-tiff"
    assert "3 cells that overlap others: label-tiff has one cell per pixel, chosen by the rule smaller-on-top" in lines
    assert cli(*args, "--to", "yolo", "--images", pictures, "--no-images").exit_code == 2
    results = [{"image_id": 1, "category_id": 2, "segmentation": counts(CELLS[0]), "score": 0.25}]
    (tmp_path / "results.json").write_text(json.dumps(results))
    found = ("convert", tmp_path / "results.json", "--to", "coco", "--out", tmp_path / "found.json", "--jobs", 1)
    assert "--truth" in cli(*found).stderr
    assert cli(*found, "--truth", coco_file).exit_code == 0
    assert json.loads((tmp_path / "found.json").read_text())["annotations"][0]["score"] == 0.25
    assert cli("convert", tmp_path / "nowhere.json", "--to", "coco", "--out", tmp_path / "x").exit_code == 1


# Real images. ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", EXPORTERS)
def test_real_cells_come_back(sartorius, tmp_path, to):
    """Overlapping cells of a real image, written and read again, are as annotated, or the loss is told."""
    header, *lines = sartorius.read_text().splitlines()
    first = lines[0].partition(",")[0]
    rows = [line for line in lines if line.startswith(first)][:80]
    (tmp_path / "some.csv").write_text("\n".join([header, *rows]))
    report = convert_quietly(tmp_path / "some.csv", to, tmp_path / "out.json")
    (record,), (again,) = (
        open_source(*given).images()
        for given in ((tmp_path / "some.csv",), (tmp_path / "out.json", READER_OF.get(to, to)))
    )
    known, cells, holds = record.load(), again.load((520, 704)), EXPORTERS[to].holds
    overlapping = int(np.count_nonzero(find_overlaps(known.runs).contested))
    assert overlapping > 0
    assert report.losses.get("overlaps", 0) == overlapping * ("overlaps" not in holds)
    assert report.losses.get("types", 0) == len(known.rows) * ("types" not in holds)
    if "overlaps" in holds:
        assert encode_rle(cells.runs.to_masks()) == encode_rle(known.runs.to_masks())
    else:
        expected = resolve_overlaps(known.runs).labels
        numbers = np.unique(expected)[1:]
        np.testing.assert_array_equal(cells.runs.paint(numbers), expected)
    assert [name or "cell" for name in cells.cell_types] == (
        list(known.cell_types) if "types" in holds else ["cell"] * len(cells.rows)
    )


def test_names_of_a_thousand_regions_survive(tmp_path):
    """All except two are distinct; some are not valid file names, and one consists of spaces."""
    count, side = 1024, 32
    labels = np.kron(np.arange(1, count + 1).reshape(side, side), [[1, 0], [0, 0]])
    outlines = [outline for (outline,) in trace_outlines(labels).values()]
    names = [f"cell {k} (ø/{k})" for k in range(count - 5)] + ["0007", "0012-0345", "twice", "twice", " "]
    with zipfile.ZipFile(tmp_path / "a_rois.zip", "w") as archive:
        for number, (name, (ring,)) in enumerate(zip(names, outlines, strict=True)):
            region = ImagejRoi.frompoints(ring[:-1])
            region.name = name
            archive.writestr(f"{number}.roi", region.tobytes())
    Image.fromarray(np.zeros(labels.shape, np.uint8)).save(tmp_path / "a.png")
    path = tmp_path / "a_rois.zip"
    for to in ("geojson", "labelme", "imagej-roi"):
        report = convert_quietly(path, to, tmp_path / to, images=tmp_path)
        assert (report.cells, report.losses) == (count, {})
        path = tmp_path / to
        (record,) = open_source(path).images()
        assert list(record.load(labels.shape).names) == names
    assert len(set(zipfile.ZipFile(tmp_path / "imagej-roi/a_rois.zip").namelist())) == count
    assert convert_quietly(path, "coco", tmp_path / "c.json", images=tmp_path).losses == {"names": count - 2}
