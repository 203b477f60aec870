"""Files and folders of other tools: they are recognised, and the message names the next step."""

import json

import numpy as np
import pytest
from PIL import Image

from cellprep import open_source
from cellprep.errors import SourceError

RECORD = {"segmentation": {"size": [4, 5], "counts": "42>"}, "bbox": [0, 0, 1, 1]}

# The content of files, by their names, and what is said.
FILES = {
    "via3.json": ({"project": {}, "config": {}, "view": {}}, "this is a project of VIA 3: annotate images in VIA 2"),
    "min.json": (
        [{"image": "a.png", "annotation_id": 1, "annotator": 1}],
        "this is a Label Studio export of the kind JSON-MIN: export it as JSON",
    ),
    "sam.json": ([{**RECORD, "predicted_iou": 0.9}], "this is SAM's everything-mode JSON, masks without their image"),
    "sa1b.json": (
        {"image": {"image_id": 1}, "annotations": [RECORD]},
        "this is an SA-1B file, SAM's masks of one image",
    ),
    "results.json": (
        [{**RECORD, "image_id": 1, "score": 0.9}],
        "this is a list of COCO results: pass it to `cellprep evaluate` ",
    ),
    "hovernet.json": ({"mag": 40, "nuc": {}}, "this is HoVer-Net's JSON of nuclei"),
    "info.json": (
        {"images": [], "info": {}},
        "it has: 'images', 'info'; COCO JSON is an object with the lists images,",
    ),
    "other.json": ({"a": 1}, "it has: 'a'; COCO JSON is an object with the lists images, annotations and categories"),
    "cvat.json": ("<annotations>\n<image id='0'/></annotations>", "this is CVAT XML: rename it to .xml"),
    "voc.xml": ("<annotation>\n<filename>a</filename></annotation>", "this is a Pascal VOC file, boxes without masks"),
    "aperio.xml": ('<Annotations MicronsPerPixel="0.25">', "this is Aperio ImageScope's XML"),
    "boxes.txt": ("0 0.5 0.5 0.1 0.2\n0 0.1 0.1 0.1 0.2\n", "this is a YOLO label with boxes instead of masks"),
    "outlines.dat": ("0 0.5 0.5 0.1 0.2 0.3 0.4\n", "this is a YOLO label: rename it to .txt, and give the folder"),
    "yolo.csv": ("0 0.5 0.5 0.1 0.2\n", "yolo.csv is not a CSV: this is a YOLO label"),
    "rims.txt": (
        "1,2,3,4,5,6\n7,8,9,10,11,12,13,14\n",
        "this is Cellpose's outlines: rename it to <id>_cp_outlines.txt",
    ),
    "table.dat": (
        "id,annotation\na,1 2\n",
        "this looks like a table: if it is a CSV of annotations, rename it to .csv",
    ),
    "coco.txt": ({"images": []}, "this looks like JSON: if it is COCO JSON, rename it to .json"),
    "cells.dat": (b"Iout\x00\xe4", "this is an ImageJ ROI: rename it to .roi"),
    "cells.h5": (b"\x89HDF\r\n\x1a\n", "this is an HDF5 file"),
    "a.mat": (b"MATLAB 5.0 MAT-file", "this is a MATLAB file"),
    "c.json.gz": (b"\x1f\x8b\x08", "this is a gzip file: unpack it and give its content"),
    "pointer.csv": (
        b"version https://git-lfs.github.com/spec/v1\n",
        "this is a pointer of Git LFS: fetch the file itself",
    ),
    "pointer.json": (b"version https://git-lfs.github.com/spec/v1\n", "this is a pointer of Git LFS"),
    "page.csv": ("<!DOCTYPE html><html>Sign in</html>", "is not a CSV: this is a web page: download the file itself"),
    "nothing.xml": ("", "it is empty"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_of_another_tool_is_named(tmp_path, name):
    content, message = FILES[name]
    if not isinstance(content, bytes):
        content = (content if isinstance(content, str) else json.dumps(content)).encode()
    (tmp_path / name).write_bytes(content)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / name)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


def test_one_file_of_pixels_is_named(tmp_path):
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "a_masks.png")
    with pytest.raises(SourceError, match="this is an image file: give the folder of all label images"):
        open_source(tmp_path / "a_masks.png")


# The file of a folder, and what is said of the folder.
FOLDERS = {
    "labels/a.txt": (
        "0 0.5 0.5 0.1 0.2\n",
        "this is a YOLO label with boxes instead of masks, or a folder of these: export the",
    ),
    "task.xml": (
        "<annotations><version>1.1",
        "it contains task.xml: if this file has the annotations, give the file itself",
    ),
    "via.json": (
        '{"a": {"filename": "a", "regions": []}}',
        "it contains via.json: if this file has the annotations, give the",
    ),
    "instances.json": (
        '{"images": []}',
        "it contains instances.json: if this file has the annotations, give the file itself",
    ),
    "train.csv": ("id", "it contains train.csv: if this file has the annotations, give the file itself"),
    "a.jpg": ("", "a.jpg, whose format changes numbers: label images must be "),
}


@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_of_another_tool_is_named(tmp_path, name):
    content, message = FOLDERS[name]
    (tmp_path / "in" / name).parent.mkdir(parents=True)
    (tmp_path / "in" / name).write_text(content)
    with pytest.raises(SourceError) as caught:
        open_source(tmp_path / "in")
    assert message in str(caught.value)
