"""Every format is recognised, and gives the same targets of the same real cells."""

import json

import numpy as np
import pytest
import tifffile
import zarr
from PIL import Image
from pycocotools import mask as coco
from roifile import ImagejRoi
from test_coco import compressed_counts, plain_counts

from cellprep import (
    READERS,
    BuildOptions,
    build_targets,
    cells_from_labels,
    compute_targets,
    decode_rle,
    open_source,
    open_store,
    resolve_overlaps,
)
from cellprep.errors import SourceError
from cellprep.formats.drawings.source import DrawnFiles, DrawnSet
from cellprep.formats.images import LABEL_FORMATS

MASK = np.array([[0, 1, 1, 0], [0, 0, 1, 0], [0, 0, 0, 0]], np.uint8)

# Tiny sources of one image, by format.


def kaggle_csv(folder):
    (folder / "a.csv").write_text("id,annotation,width,height\na,2 2 7 1,4,3\n")
    return folder / "a.csv"


def coco_json(folder):
    image = {"id": 1, "file_name": "a.png", "width": 4, "height": 3}
    cell = {"id": 1, "image_id": 1, "segmentation": {"size": [3, 4], "counts": plain_counts(MASK)}}
    (folder / "a.json").write_text(json.dumps({"images": [image], "annotations": [cell]}))
    return folder / "a.json"


def cellprep_store(folder):
    build_targets(open_source(kaggle_csv(folder)), folder / "a.zarr", BuildOptions(jobs=1, quiet=True))
    return folder / "a.zarr"


def ome_zarr(folder):
    group = zarr.create_group(folder / "a.zarr")
    labels = group.create_group("labels", attributes={"ome": {"version": "0.5", "labels": ["cells"]}})
    axes = [{"name": "y", "type": "space"}, {"name": "x", "type": "space"}]
    multiscale = {"axes": axes, "datasets": [{"path": "0"}]}
    cells = labels.create_group("cells", attributes={"ome": {"version": "0.5", "multiscales": [multiscale]}})
    cells.create_array("0", data=MASK)
    return folder / "a.zarr"


def mask_folder(folder):
    (folder / "train/a/masks").mkdir(parents=True)
    Image.fromarray(255 * MASK).save(folder / "train/a/masks/1.png")
    return folder / "train"


def imagej_roi(folder):
    (folder / "cells").mkdir()
    Image.fromarray(MASK).save(folder / "cells/a.png")
    corners = [(1, 0), (3, 0), (3, 2), (2, 2), (2, 1), (1, 1)]
    ImagejRoi.frompoints(np.array(corners)).tofile(folder / "cells/a_rois.zip")
    return folder / "cells"


def cellpose_seg(folder):
    (folder / "cells").mkdir()
    Image.fromarray(MASK).save(folder / "cells/a.png")
    np.save(folder / "cells/a_seg.npy", {"masks": MASK.astype(np.uint16), "filename": "a.png"})
    return folder / "cells"


def label_folder(folder):
    (folder / "labels").mkdir()
    tifffile.imwrite(folder / "labels/a.tif", MASK)
    return folder / "labels"


RING = [[1, 0], [3, 0], [3, 2], [2, 2], [2, 1], [1, 1]]  # the outline of the mask


def picture(folder):
    folder.mkdir()
    Image.fromarray(MASK).save(folder / "a.png")


def geojson(folder):
    picture(folder / "cells")
    feature = {"type": "Feature", "geometry": {"type": "Polygon", "coordinates": [[*RING, RING[0]]]}}
    (folder / "cells/a.geojson").write_text(json.dumps({"type": "FeatureCollection", "features": [feature]}))
    return folder / "cells"


def labelme(folder):
    shapes = [{"points": RING, "shape_type": "polygon"}]
    document = {"shapes": shapes, "imagePath": "a.png", "imageHeight": 3, "imageWidth": 4}
    (folder / "a.json").write_text(json.dumps(document))
    return folder / "a.json"


def yolo(folder):
    (folder / "cells/labels").mkdir(parents=True)
    picture(folder / "cells/images")
    (folder / "cells/labels/a.txt").write_text("0 " + " ".join(f"{x / 4} {y / 3}" for x, y in RING))
    return folder / "cells"


def cvat(folder):
    points = ";".join(f"{x},{y}" for x, y in RING)
    image = f'<image id="0" name="a.png" width="4" height="3"><polygon points="{points}"/></image>'
    (folder / "a.xml").write_text(f"<annotations><version>1.1</version>{image}</annotations>")
    return folder / "a.xml"


def label_studio(folder):
    points = [[100 * x / 4, 100 * y / 3] for x, y in RING]
    region = {"type": "polygonlabels", "value": {"points": points}, "original_width": 4, "original_height": 3}
    task = {"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-a.png"}, "annotations": [{"id": 1, "result": [region]}]}
    (folder / "a.json").write_text(json.dumps([task]))
    return folder / "a.json"


def via(folder):
    picture(folder / "images")
    shape = {"name": "polygon", "all_points_x": [x for x, _ in RING], "all_points_y": [y for _, y in RING]}
    image = {"filename": "a.png", "size": 1, "regions": [{"shape_attributes": shape, "region_attributes": {}}]}
    (folder / "a.json").write_text(json.dumps({"a.png1": image}))
    return folder / "a.json"


SOURCES = {
    "kaggle-csv": kaggle_csv,
    "coco": coco_json,
    "cellprep": cellprep_store,
    "ome-zarr": ome_zarr,
    "geojson": geojson,
    "labelme": labelme,
    "yolo": yolo,
    "cvat": cvat,
    "label-studio": label_studio,
    "via": via,
    "mask-folder": mask_folder,
    "imagej-roi": imagej_roi,
    "cellpose-seg": cellpose_seg,
    "label-folder": label_folder,
}


@pytest.mark.parametrize("name", ["coco", "geojson", "labelme", "label-studio", "via"])
@pytest.mark.parametrize("file", ["a", "a.txt", "a.annotations"])
def test_json_is_recognised_whatever_its_name(tmp_path, name, file):
    path = SOURCES[name](tmp_path)
    path = next(path.glob("*.*json")) if path.is_dir() else path
    renamed = path.rename(tmp_path / file)
    assert (open_source(renamed).format, open_source(renamed).image_ids) == (name, ["a"])


@pytest.mark.parametrize("name", READERS)
def test_every_format_is_recognised_and_gives_the_same_record(tmp_path, name):
    path = SOURCES[name](tmp_path)
    for source in (open_source(path), open_source(path, name)):
        assert (source.format, source.image_ids, source.needs_images) == (name, ["a"], name == "via")
        assert len(source.sha256) == 64
        (image,) = source.images()
        found = image.load(MASK.shape if image.needs_shape else None)
        np.testing.assert_array_equal(found.runs.to_masks(), [MASK])
        assert (found.cell_types, found.cell_type) == ((("0",), "0") if name == "yolo" else (("",), ""))
        assert image.fingerprint() == next(iter(open_source(path).images())).fingerprint()
    report = build_targets(source, tmp_path / "out.zarr", BuildOptions(jobs=1, quiet=True))
    assert (report.new, report.failures) == (1, {})
    direct = compute_targets(resolve_overlaps(found.runs))
    for target, array in direct.items():
        np.testing.assert_array_equal(open_store(tmp_path / "out.zarr")["a"].read(target), array)


def test_a_damaged_image_of_a_store_is_named(tmp_path):
    csv = tmp_path / "a.csv"
    csv.write_text("id,annotation,width,height\na,2 2 7 1,4,3\nb,2 2 7 1,4,3\n")
    options = BuildOptions(jobs=1, quiet=True)
    build_targets(open_source(csv), tmp_path / "a.zarr", options)
    (tmp_path / "a.zarr/a/zarr.json").write_text("{")
    source = open_source(tmp_path / "a.zarr")
    assert source.image_ids == ["b", "a"]
    report = build_targets(source, tmp_path / "out.zarr", options)
    assert (report.new, list(report.failures)) == (1, ["a"])
    assert "its zarr.json is missing or damaged" in report.failures["a"]


@pytest.mark.parametrize("name", READERS)
def test_the_command_says_what_it_took(cli, tmp_path, name):
    path = SOURCES[name](tmp_path)
    order = ", pixels counted by row" if name == "kaggle-csv" else ""
    args = ("build-targets", path, "--out", tmp_path / "out.zarr", "--jobs", 1)
    assert cli(*args).stderr.splitlines()[0] == f"{path.name}: {name}{order}, images: 1"
    assert cli(*args, "--quiet").output == ""


@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("other", READERS)
def test_no_format_takes_another_for_its_own(tmp_path, name, other):
    if name == other:
        return
    path = SOURCES[name](tmp_path)
    is_asked = issubclass(READERS[other], (DrawnFiles, DrawnSet)) or list(READERS).index(other) < list(READERS).index(
        name
    )
    assert not (is_asked and READERS[other].recognises(path))


@pytest.mark.parametrize(
    ("kind", "found"),
    [
        ("text", ""),
        ("empty folder", "it contains no files"),
        ("JPEG folder", "its files end in .jpg"),
        ("array", "it is a plain Zarr array (3 x 4, uint8). "),
    ],
)
def test_unknown_things_get_one_line(tmp_path, kind, found):
    path = tmp_path / "thing"
    if kind == "text":
        path.write_text("hello")
    elif kind == "array":
        zarr.create_array(path, data=MASK)
    else:
        path.mkdir()
        if kind == "JPEG folder":
            Image.fromarray(MASK).save(path / "a.jpg")
    with pytest.raises(SourceError) as caught:
        open_source(path)
    known = ", ".join(READERS)
    if kind == "JPEG folder":
        told = (
            f"{path} contains no readable annotations, only files such as a.jpg, whose format changes numbers: "
            f"label images must be {', '.join(LABEL_FORMATS)}"
        )
    elif kind == "array":
        told = str(caught.value)
        assert told.startswith(f"{path} has an unknown format: {found}")
    elif found:
        told = f"{path} has an unknown format: {found} (formats that can be read: {known})"
    else:
        told = f"{path} has an unknown format: give one of these, with --format: {known}"
    assert str(caught.value) == told


def test_masks_of_the_data_science_bowl_need_their_images(cli, tmp_path):
    (tmp_path / "a.csv").write_text("ImageId,EncodedPixels\na,4 1 7 2\n")
    out = ("--out", tmp_path / "out.zarr", "--jobs", 1)
    result = cli("build-targets", tmp_path / "a.csv", *out)
    assert result.exit_code == 2
    problem = "error: a.csv has no columns width and height: give the image files (--images)"
    assert result.stderr.splitlines()[-1] == problem
    (tmp_path / "images").mkdir()
    Image.fromarray(MASK).save(tmp_path / "images/a.png")
    result = cli("build-targets", tmp_path / "a.csv", "--images", tmp_path / "images", *out)
    assert result.exit_code == 0, result.output
    assert "a.csv: kaggle-csv, pixels counted by column, images: 1\n" in result.stderr
    np.testing.assert_array_equal(open_store(tmp_path / "out.zarr")["a"].read("labels"), MASK)
    Image.fromarray(MASK[:1]).save(tmp_path / "images/a.png")
    result = cli("build-targets", tmp_path / "a.csv", "--images", tmp_path / "images", *out)
    assert "  a: a.csv row 2: run '7 2' goes past the last pixel, 4 (1 x 4)\n" in result.stderr


# Real annotations, from one format to the others and back.


@pytest.fixture(scope="module")
def real(sartorius):
    """Some real images with overlaps, each with its masks and targets."""
    found = {}
    for image in list(open_source(sartorius).images())[::32]:
        annotations = image.load()
        found[image.image_id] = (
            image,
            decode_rle(image.masks, image.shape),
            compute_targets(resolve_overlaps(annotations.runs)),
        )
    return found


def equal(found, expected):
    assert found.keys() == expected.keys()
    for name, array in expected.items():
        np.testing.assert_array_equal(found[name], array, err_msg=name)


def targets_of(path):
    return {
        image.image_id: compute_targets(resolve_overlaps(image.load().runs)) for image in open_source(path).images()
    }


def write_coco(path, real, segmentation):
    images, annotations = [], []
    for number, (image_id, (image, stack, _)) in enumerate(real.items()):
        height, width = image.shape
        images.append({"id": number, "file_name": f"{image_id}.png", "width": width, "height": height})
        for mask in stack:
            annotations.append({"id": len(annotations), "image_id": number, "segmentation": segmentation(mask)})
    path.write_text(json.dumps({"images": images, "annotations": annotations}))
    return path


@pytest.mark.parametrize("kind", ["compressed", "uncompressed"])
def test_sartorius_as_coco(real, tmp_path, kind):
    def segmentation(mask):
        counts = compressed_counts(mask).decode() if kind == "compressed" else fast_counts(mask)
        return {"size": list(mask.shape), "counts": counts}

    found = targets_of(write_coco(tmp_path / "coco.json", real, segmentation))
    for image_id, (_, _, expected) in real.items():
        equal(found[image_id], expected)


def fast_counts(mask):
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(np.diff(flat, prepend=False))
    return np.diff(edges, prepend=0, append=flat.size).tolist()


@pytest.mark.filterwarnings("ignore:__array__ implementation")  # in pycocotools' own decoder
def test_sartorius_as_polygons_up_to_their_rasterisation(real, tmp_path):
    import cv2

    def segmentation(mask):
        contours, _ = cv2.findContours(mask.astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)
        return [(c.ravel() + 0.5).tolist() for c in contours if len(c) >= 3]

    few = {image_id: (image, stack[:20], None) for image_id, (image, stack, _) in real.items()}
    path = write_coco(tmp_path / "coco.json", few, segmentation)
    for image in open_source(path).images():
        drawn = image.load().runs.to_masks()
        _, stack, _ = few[image.image_id]
        for found, mask in zip(drawn, stack, strict=True):
            polygons = coco.frPyObjects(segmentation(mask), *mask.shape)
            np.testing.assert_array_equal(found, coco.decode(coco.merge(polygons)))


def test_sartorius_as_mask_files(real, tmp_path):
    few = dict(list(real.items())[:3])
    for image_id, (_, stack, _) in few.items():
        folder = tmp_path / "train" / image_id / "masks"
        folder.mkdir(parents=True)
        for number, mask in enumerate(stack):
            Image.fromarray(mask).save(folder / f"{number:04}.png")
    found = targets_of(tmp_path / "train")
    for image_id, (_, _, expected) in few.items():
        equal(found[image_id], expected)


def test_sartorius_as_label_images_after_overlaps_are_resolved(real, tmp_path):
    (tmp_path / "labels").mkdir()
    labels = {}
    for image_id, (image, _, _) in real.items():
        labels[image_id] = resolve_overlaps(image.load().runs).labels
        tifffile.imwrite(tmp_path / "labels" / f"{image_id}.tif", labels[image_id])
    found = targets_of(tmp_path / "labels")
    for image_id, image in labels.items():
        equal(found[image_id], compute_targets(cells_from_labels(image)))


def test_sartorius_built_again_from_the_store(real, sartorius, tmp_path):
    options = BuildOptions(only=tuple(real), jobs=1, quiet=True)
    build_targets(open_source(sartorius), tmp_path / "old.zarr", options)
    build_targets(open_source(tmp_path / "old.zarr"), tmp_path / "new.zarr", BuildOptions(jobs=1, quiet=True))
    for image_id, (_, _, expected) in real.items():
        image = open_store(tmp_path / "new.zarr")[image_id]
        equal({name: image.read(name) for name in expected}, expected)


@pytest.fixture(scope="module")
def bowl(test_data):
    return test_data / "dsb2018_folders", test_data / "dsb2018"


def test_the_data_science_bowl_in_its_three_formats(bowl, tmp_path):
    folders, flat = bowl
    sources = {
        "files": (folders, None),
        "csv": (folders / "stage1_train_labels.csv", flat / "images"),
        "labels": (flat / "masks", flat / "images"),
    }
    ids = open_source(folders).image_ids
    assert len(ids) == 12
    for name, (source, images) in sources.items():
        options = BuildOptions(images=images, only=tuple(ids), jobs=1, quiet=True)
        report = build_targets(open_source(source), tmp_path / name, options)
        assert (report.new, report.failures) == (12, {})
    for image_id in ids:
        files, *others = (open_store(tmp_path / name)[image_id] for name in sources)
        for other in others:
            assert other.attributes["cells"] == files.attributes["cells"]
            for name in ("semseg", "distance", "uvec", "energy", "area"):
                np.testing.assert_array_equal(other.read(name), files.read(name), err_msg=f"{image_id} {name}")
        in_files, in_csv = (set(masks_of(path, image_id)) for path in (tmp_path / "files", tmp_path / "csv"))
        assert in_files == in_csv


def masks_of(store, image_id):
    """The cells of an image, whatever their numbers."""
    labels = open_store(store)[image_id].read("labels")
    return [np.flatnonzero(labels == label).tobytes() for label in range(1, labels.max() + 1)]


def test_the_data_science_bowls_mask_files_as_kaggles_text(bowl):
    from cellprep import encode_rle

    folders, _ = bowl
    texts = {}
    for image in open_source(folders / "stage1_train_labels.csv").images():
        texts[image.image_id] = sorted(" ".join(text.split()) for text in image.masks)
    for image in open_source(folders).images():
        assert sorted(encode_rle(image.load().runs.to_masks(), "column")) == texts[image.image_id]
