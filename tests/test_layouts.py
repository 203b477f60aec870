"""Layouts of folders: the roles of files for each reader and `predict`, and notes on other files."""

import unicodedata

import numpy as np
import pytest
import zarr
from PIL import Image
from test_ome_zarr import write, write_labels, write_multiscale

from cellprep import open_source
from cellprep.errors import CellprepError, ImageFileError, SourceError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.layouts.pairing import find_images, open_images
from cellprep.learn.prediction import inputs
from cellprep.learn.prediction.masks import MaskFiles
from cellprep.system.places import entries_in

LABELS = np.zeros((40, 50), np.uint8)
LABELS[3:9, 4:10], LABELS[20:30, 20:40] = 1, 2
PICTURE = (np.arange(2000) * 37 % 251).astype(np.uint8).reshape(40, 50)
PICKLE = np.lib.format.magic(1, 0) + b"v\0{'descr': '|O', 'fortran_order': False, 'shape': (), }\n"

# What files hold: a picture, a label image of two cells, a mask of one of them, and what no reader wants.
CONTENTS = {
    "P": PICTURE,
    "L": LABELS,
    "1": 255 * (LABELS == 1).astype(np.uint8),
    "2": 255 * (LABELS == 2).astype(np.uint8),
    "noise": 255 * (LABELS == 1).astype(np.uint8) + (PICTURE < 20),
    "inverted": 255 * (LABELS != 1).astype(np.uint8),
    "inverted 2": 255 * (LABELS != 2).astype(np.uint8),
    "bytes": b"\0\1",
    "pickle": PICKLE,
}


def lay(folder, files):
    for name, kind in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(CONTENTS[kind], bytes):
            path.write_bytes(CONTENTS[kind])
        else:
            Image.fromarray(CONTENTS[kind]).save(path)
    return folder


def read(path):
    """Return the cells of each image, and the file of its picture below the path."""
    found = {}
    for record in open_source(path).images():
        assert not isinstance(record, FaultyImage), record
        found[record.image_id] = (len(record.load().rows), record.pixels and str(record.pixels.path.relative_to(path)))
    return found


DSB = {"x1/images/x1.png": "P", "x1/masks/m1.png": "1", "x1/masks/m2.png": "2"}

# By layout: its files, and per image its cells and its picture.
LAYOUTS = {
    "_mask": ({"a.tif": "P", "a_mask.tif": "L"}, {"a": (2, "a.tif")}),
    "_Masks": ({"a.tif": "P", "a_Masks.tif": "L"}, {"a": (2, "a.tif")}),
    "-label": ({"a.tif": "P", "a-label.png": "L"}, {"a": (2, "a.tif")}),
    "_img and _masks": ({"0_img.png": "P", "0_masks.png": "L"}, {"0": (2, "0_img.png")}),
    "_image and _mask": ({"a_image.tiff": "P", "a_mask.tiff": "L"}, {"a": (2, "a_image.tiff")}),
    "_cp_masks of _img": ({"0_img.png": "P", "0_img_cp_masks.png": "L"}, {"0_img": (2, "0_img.png")}),
    "mask_": ({"a.tif": "P", "mask_a.tif": "L"}, {"a": (2, "a.tif")}),
    "a picture called label_": (
        {"label_free_1.png": "P", "label_free_1_masks.tif": "L"},
        {"label_free_1": (2, "label_free_1.png")},
    ),
    "image_ and label_": ({"image_a.png": "P", "Label_a.tif": "L"}, {"a": (2, "image_a.png")}),
    "img- and labels-": ({"images/img-a.png": "P", "masks/labels-a.tif": "L"}, {"a": (2, "images/img-a.png")}),
    "masks_ without images": ({"masks/masks_a.png": "L"}, {"masks_a": (2, None)}),
    "a folder per image": (
        {f"{name}/{kind}.png": "PL"[kind == "mask"] for name in "xy" for kind in ("image", "mask")},
        {"x": (2, "x/image.png"), "y": (2, "y/image.png")},
    ),
    "a folder per image, of its name": ({"x/x.png": "P", "x/labels.png": "L"}, {"x": (2, "x/x.png")}),
    "a folder in folders per image": (
        {f"{name}/{kind}s/{kind}.png": "PL"[kind == "mask"] for name in "xy" for kind in ("image", "mask")},
        {"x": (2, "x/images/image.png"), "y": (2, "y/images/image.png")},
    ),
    "Cellpose's other files": (
        {"a.tif": "P", "a_masks.tif": "L", "a_seg.npy": "pickle", "a_flows.tif": "P"},
        {"a": (2, "a.tif")},
    ),
    "Images and Masks": ({"Images/a.png": "P", "Masks/a.tif": "L"}, {"a": (2, "Images/a.png")}),
    "image and mask": ({"image/a.png": "P", "mask/a.tif": "L"}, {"a": (2, "image/a.png")}),
    "images and labels": ({"images/a.png": "P", "labels/a_label.tiff": "L"}, {"a": (2, "images/a.png")}),
    "tissue images": ({"tissue images/a.png": "P", "label masks/a.tif": "L"}, {"a": (2, "tissue images/a.png")}),
    "masks with and without an end": (
        {"images/a.png": "P", "images/b.png": "P", "masks/a_masks.tif": "L", "masks/b.tif": "L"},
        {"a": (2, "images/a.png"), "b": (2, "images/b.png")},
    ),
    "names that end so in both": (
        {"images/x_label.png": "P", "masks/x_label.png": "L"},
        {"x_label": (2, "images/x_label.png")},
    ),
    "masks in the folder of images": ({"images/a.png": "P", "images/a_masks.png": "L"}, {"a": (2, "images/a.png")}),
    "masks below images": ({"a.tif": "P", "masks/a.tif": "L"}, {"a": (2, "a.tif")}),
    "masks above images": ({"a.tif": "L", "images/a.tif": "P"}, {"a": (2, "images/a.tif")}),
    "subfolders of images alone": ({"images/x/a.png": "P", "labels/a.tif": "L"}, {"a": (2, "images/x/a.png")}),
    "OME-TIFF": ({"a.ome.tif": "P", "a_masks.ome.tif": "L"}, {"a": (2, "a.ome.tif")}),
    "subfolders on both sides": ({"images/x/a.png": "P", "masks/x/a.tif": "L"}, {"a": (2, "images/x/a.png")}),
    "pairs in subfolders": ({"x/a.png": "P", "x/a_masks.tif": "L"}, {"a": (2, "x/a.png")}),
    "train and test": (
        {"train/images/a.png": "P", "train/masks/a.tif": "L", "test/images/b.png": "P", "test/masks/b.tif": "1"},
        {"a": (2, "train/images/a.png"), "b": (1, "test/images/b.png")},
    ),
    "train and test of the same names": (
        {f"{part}/{kind}/a.tif": "PL"[kind == "masks"] for part in ("train", "test") for kind in ("images", "masks")},
        {"test_a": (2, "test/images/a.tif"), "train_a": (2, "train/images/a.tif")},
    ),
    "label images without images": (
        {"train/masks/a.tif": "L", "test/masks/b.tif": "L"},
        {"a": (2, None), "b": (2, None)},
    ),
    "Cell Tracking Challenge": (
        {
            "01/t000.tif": "P",
            "01_GT/SEG/man_seg000.tif": "L",
            "01_GT/TRA/man_track000.tif": "1",
            "01_ST/SEG/man_seg000.tif": "1",
        },
        {"t000": (2, "01/t000.tif")},
    ),
    "silver truth alone": ({"01/t000.tif": "P", "01_ST/SEG/man_seg000.tif": "L"}, {"t000": (2, "01/t000.tif")}),
    "foreign files": (
        {
            "images/a.png": "P",
            "images/Thumbs.db": "bytes",
            "masks/a.tif": "L",
            "masks/.DS_Store": "bytes",
            "README.txt": "bytes",
        },
        {"a": (2, "images/a.png")},
    ),
    "accents": (
        {"images/zelle-\u00fc.png": "P", f"masks/{unicodedata.normalize('NFD', 'zelle-ü')}.tif": "L"},
        {"zelle-\u00fc": (2, "images/zelle-\u00fc.png")},
    ),
    "a file per cell": ({**DSB, "x1/masks/Thumbs.db": "bytes"}, {"x1": (2, "x1/images/x1.png")}),
    "a file per cell, deeper": (
        {f"stage1/{name}": kind for name, kind in DSB.items()},
        {"x1": (2, "stage1/x1/images/x1.png")},
    ),
    "a file per cell, Mask": ({"x1/Image/x1.png": "P", "x1/Mask/m1.png": "1"}, {"x1": (1, "x1/Image/x1.png")}),
    "a file per cell, without images": ({"x1/masks/m1.png": "1", "x1/masks/m2.png": "2"}, {"x1": (2, None)}),
}


@pytest.mark.parametrize(("files", "expected"), LAYOUTS.values(), ids=LAYOUTS.keys())
def test_every_command_takes_the_same_files_for_images_and_masks(tmp_path, files, expected):
    lay(tmp_path, files)
    assert read(tmp_path) == expected
    if pictures := {image_id: picture for image_id, (_, picture) in expected.items() if picture}:
        found = inputs.find_images([tmp_path]).images
        assert {image.id: str(image.pixels.path.relative_to(tmp_path)) for image in found} == pictures
    assert len(MaskFiles(tmp_path)._records) == len(expected)


def test_pictures_that_begin_like_masks_are_predicted(tmp_path):
    lay(tmp_path, {"label-free_1.png": "P", "phase_1.png": "P"})
    assert [image.id for image in inputs.find_images([tmp_path]).images] == ["label-free_1", "phase_1"]
    assert [image.id for image in inputs.find_images([f"{tmp_path}/*.png"]).images] == ["label-free_1", "phase_1"]


@pytest.mark.parametrize("masks", [{}, {"p/mask.png": "L", "q/mask.png": "L"}])
def test_images_of_the_same_name_have_the_same_ids_with_and_without_masks(tmp_path, masks):
    lay(tmp_path, {"p/image.png": "P", "q/image.png": "P", **masks})
    assert [image.id for image in inputs.find_images([tmp_path]).images] == ["p", "q"]


def test_nothing_chooses_between_images_that_share_a_name(tmp_path):
    lay(tmp_path, {"img_1.png": "P", "image_1.png": "P", "mask_1.png": "L"})
    (record,) = open_source(tmp_path).images()
    assert "several" in record.problem


@pytest.mark.parametrize("target", ["images", "masks"])
def test_a_link_does_not_stand_for_the_folder_that_it_leads_to(tmp_path, target):
    lay(tmp_path, {"exp/images/a.png": "P", "exp/masks/a.png": "L"})
    (tmp_path / "a-link").symlink_to(tmp_path / "exp" / target)
    assert read(tmp_path) == {"a": (2, "exp/images/a.png")}
    assert [image.id for image in inputs.find_images([tmp_path]).images] == ["a"]


def test_folders_of_cells_with_one_id_are_refused(tmp_path):
    cells = {"masks/1.png": "1", "masks/2.png": "2", "images/x.png": "P"}
    lay(tmp_path, {f"{above}/x/{name}": kind for above in ("a/b", "a_b") for name, kind in cells.items()})
    with pytest.raises(SourceError, match="a/b/x and a_b/x have the same id a_b_x: rename one"):
        open_source(tmp_path)


FAULTS = {
    "noise": (
        {**DSB, "x1/masks/m1.png": "noise"},
        "x1",
        "m1.png: it has 2 nonzero values (1, 255): a mask of one cell",
    ),
    "a label image among cells": ({**DSB, "x1/masks/m3.png": "L"}, "x1", "m3.png: it has 2 nonzero values (1, 2)"),
    "inverted": (
        {**DSB, "x1/masks/m1.png": "inverted", "x1/masks/m2.png": "inverted 2"},
        "x1",
        "covers more than half of the image",
    ),
    "two masks": ({"a.png": "P", "a_masks.png": "L", "a_mask.tif": "L"}, "a", "several label images have this id"),
    "two images": ({"a.png": "P", "a.tif": "P", "a_mask.tif": "L"}, "a", "several image files have this id"),
    "another format": ({"images/a.dcm": "bytes", "masks/a.tif": "L"}, "a", "images/a.dcm is not a supported image"),
    "no image": ({"a.tif": "P", "a_mask.tif": "L", "b_mask.tif": "L"}, "b", "there is no image file b.* in"),
}


@pytest.mark.parametrize(("files", "image_id", "problem"), FAULTS.values(), ids=FAULTS.keys())
def test_what_is_wrong_with_an_image_is_said(tmp_path, files, image_id, problem):
    (record,) = (record for record in open_source(lay(tmp_path, files)).images() if record.image_id == image_id)
    if not isinstance(record, FaultyImage):
        with pytest.raises(CellprepError) as caught:
            record.load()
    assert problem in (record.problem if isinstance(record, FaultyImage) else str(caught.value))


REFUSED = {
    "images alone": ({"images/a.png": "P"}, "contains 1 image file, such as images/a.png, but no masks"),
    "pictures of subfolders": (
        {"x/a.png": "P", "y/b.png": "P"},
        "contains 2 image files, such as x/a.png, but no masks",
    ),
    "masks that change numbers": (
        {"images/a.png": "P", "masks/a.jpg": "P"},
        r"contains no label image .* masks/a\.jpg",
    ),
}


@pytest.mark.parametrize(("files", "problem"), REFUSED.values(), ids=REFUSED.keys())
def test_a_folder_without_masks_is_refused_with_what_it_holds(tmp_path, files, problem):
    with pytest.raises(SourceError, match=problem):
        open_source(lay(tmp_path, files))


def test_nothing_is_left_aside_in_silence(tmp_path):
    files = {"a.tif": "P", "a_mask.tif": "L", "b.tif": "P", "c.tif": "P", "c_seg.npy": "pickle", "old/d.tif": "P"}
    source = open_source(lay(tmp_path, {**files, "masks/e.jpg": "P"}))
    assert source.unannotated == ["b.tif", "c.tif"]
    assert source.notes == [
        "note: skipped, as neither images nor masks by name: old",
        "note: skipped, as not label images: masks/e.jpg (.npy, .npz, .png, .tif, .tiff, .bmp)",
        f"note: the only masks are Cellpose's {tmp_path}/c_seg.npy: in Cellpose, save masks as PNG or TIFF to get "
        "<id>_cp_masks.*",
    ]


def test_files_beside_folders_of_cells_are_named(tmp_path):
    files = {**DSB, "x1/images/other.png": "P", "x1/y.png": "P", "z.tif": "P", "y.dcm": "bytes", "old/d.tif": "P"}
    lay(tmp_path, {**files, "y2/images/a.png": "P"})
    for empty in ("x1/masks/masks", "backup/deep/masks"):
        (tmp_path / empty).mkdir(parents=True)
    zarr.create_array(tmp_path / "deep/a.zarr", data=LABELS)
    source = open_source(tmp_path)
    assert (source.image_ids, source.unannotated) == (["x1"], ["y2"])
    assert source.notes == [
        "note: skipped, as neither images nor masks by name: old, z.tif, x1/y.png and 2 more",
        "note: skipped, as their format is not supported: y.dcm",
        "note: skipped, as empty: x1/masks/masks, backup/deep/masks",
    ]


@pytest.mark.parametrize(
    ("files", "cells"),
    [
        ({"a.tif": "P", "a_masks.tif": "L"}, (2, "a.tif")),
        ({"images/a.png": "P", "masks/a.png": "1"}, (1, "images/a.png")),
    ],
    ids=["names of files", "names of folders"],
)
def test_an_empty_folder_of_masks_makes_no_image(tmp_path, files, cells):
    lay(tmp_path, files)
    (tmp_path / "old/masks").mkdir(parents=True)
    assert read(tmp_path) == {"a": cells}
    assert open_source(tmp_path).notes == ["note: skipped, as empty: old/masks"]


def test_the_truth_of_each_tracked_sequence_is_chosen_by_itself_and_told(tmp_path):
    files = {f"{part}/t000.tif": "P" for part in ("01", "02", "03")}
    files |= {f"{part}_ST/SEG/man_seg000.tif": "1" for part in ("01", "02")}
    lay(tmp_path, {**files, "01_gt/seg/man_seg000.tif": "L", "03_GT/SEG/man_seg000.tif": "L"})
    assert read(tmp_path) == {
        "01_t000": (2, "01/t000.tif"),
        "02_t000": (1, "02/t000.tif"),
        "03_t000": (2, "03/t000.tif"),
    }
    assert open_source(tmp_path).notes == [
        "note: Cell Tracking Challenge: 01 has the masks of 01_GT/SEG, not of 01_ST/SEG, 02 has the masks of 02_ST/SEG"
    ]


@pytest.mark.parametrize("files", [DSB, {"a.tif": "P", "a_masks.tif": "L"}], ids=["cells", "labels"])
def test_a_folder_is_scanned_once(tmp_path, files, monkeypatch):
    lay(tmp_path, files)
    listed = []
    monkeypatch.setattr("cellprep.system.files.entries_in", lambda folder: listed.append(folder) or entries_in(folder))
    open_source(tmp_path)
    assert sorted(listed) == sorted({tmp_path, *(path for path in tmp_path.rglob("*") if path.is_dir())})


# `predict`


def test_masks_are_no_images_to_predict(tmp_path):
    lay(tmp_path, {"a.tif": "P", "a_masks.tif": "L", "b_mask.tif": "L", "Thumbs.db": "bytes", "old/c.tif": "P"})
    found = inputs.find_images([tmp_path])
    assert [image.id for image in found.images] == ["a"]
    assert found.notes == [
        f"note: skipped 2 files named like masks: {tmp_path}/a_masks.tif, {tmp_path}/b_mask.tif; to predict one, give "
        "the file itself",
        "note: skipped, as neither images nor masks by name: old",
    ]
    glob = inputs.find_images([f"{tmp_path}/*.tif"])
    named = inputs.find_images([tmp_path / "a_masks.tif", tmp_path / "a.tif", tmp_path / "b_mask.tif"])
    assert [[image.id for image in inputs.images] for inputs in (glob, named)] == [["a"], ["a", "b_mask"]]
    lay(tmp_path / "x", {"image.png": "P", "mask.png": "L"})
    for place in (f"{tmp_path}/x/*", tmp_path / "x"):
        (image,), (note,) = inputs.find_images([place]).images, inputs.find_images([place]).notes
        assert (image.id, note.split(";")[0]) == ("x", f"note: skipped 1 file named like masks: {tmp_path}/x/mask.png")
    with pytest.raises(ImageFileError, match=r"contains no image \(.*\); note: skipped 1 file named like masks"):
        inputs.find_images([lay(tmp_path / "masks-alone", {"masks/a.tif": "L"})])


@pytest.mark.parametrize(
    ("files", "pattern"),
    [
        ({"0_img.png": "P", "0_masks.tif": "L"}, "*.png"),
        ({"0_img.png": "P", "masks/0.tif": "L"}, "*.png"),
        ({"x/a.png": "P", "y/a.png": "P"}, "*/*.png"),
        (DSB | {"x2/images/photo.png": "P", "x2/masks/1.png": "1"}, "**/images/*.png"),
    ],
    ids=["masks beside", "masks below", "same names", "cells"],
)
def test_a_glob_gives_images_the_ids_that_the_folder_gives(tmp_path, monkeypatch, files, pattern):
    monkeypatch.chdir(lay(tmp_path, files))
    named = [(image.id, str(image.pixels)) for image in inputs.find_images(["."]).images]
    assert [(image.id, str(image.pixels)) for image in inputs.find_images([pattern]).images] == named


def test_images_of_subfolders_are_predicted(tmp_path):
    lay(tmp_path, {"x/a.png": "P", "y/a.png": "P", "y/b.png": "P"})
    assert [image.id for image in inputs.find_images([tmp_path]).images] == ["b", "x_a", "y_a"]


# Images elsewhere


@pytest.mark.parametrize("place", ["x/a.png", "a_img.png", "Images/x/a.png"])
def test_images_are_found_below_the_folder_that_is_given(tmp_path, place):
    lay(tmp_path, {"labels/a.tif": "L", f"pictures/{place}": "P", "pictures/masks/a.png": "L"})
    folder = open_images(open_source(tmp_path / "labels"), tmp_path / "pictures")
    assert folder.find("a").path == tmp_path / "pictures" / place
    assert folder.others(["a"]) == []


def test_names_that_look_the_same_are_the_same(tmp_path):
    decomposed = unicodedata.normalize("NFD", "ü")
    lay(tmp_path, {f"{decomposed}/Images/{decomposed}.png": "P", "a.png": "P", f"{decomposed}o.ids": "bytes"})
    (tmp_path / f"{decomposed}o.ids").write_bytes(b"NRRD0004")
    folder = open_images(open_source(lay(tmp_path / "labels", {"\u00fc.tif": "L"})), tmp_path)
    for name in ("\u00fc", decomposed):
        assert folder.find(name).path == tmp_path / decomposed / "Images" / f"{decomposed}.png"
        with pytest.raises(ImageFileError, match="it has the format NRRD"):
            folder.find(f"{name}o")
    lay(tmp_path, {f"d/{decomposed}/masks/1.png": "1"})
    assert open_source(tmp_path / "d").image_ids == ["\u00fc"]


def test_a_folder_that_cannot_be_read_is_told(tmp_path, monkeypatch):
    def refuse(folder):
        if folder.name == "locked":
            raise PermissionError(13, "Permission denied", str(folder))
        return entries_in(folder)

    lay(tmp_path, {"locked/a.png": "P", "labels/a.tif": "L"})
    monkeypatch.setattr("cellprep.system.files.entries_in", refuse)
    with pytest.raises(ImageFileError, match=r"cannot read the image folder .*locked: Permission denied"):
        open_images(open_source(tmp_path / "labels"), tmp_path).find("a")
    with pytest.raises(SourceError, match=r"cannot read .*locked: Permission denied"):
        open_source(tmp_path)


@pytest.mark.parametrize(
    ("labels", "place"),
    [
        ("masks/a.tif", "a.png"),
        ("masks/a.tif", "Image/a.png"),
        ("masks/a_mask.tif", "images/x/a_img.png"),
        ("01_GT/SEG/man_seg000.tif", "01/t000.tif"),
    ],
)
def test_images_are_found_above_and_beside_masks(tmp_path, labels, place):
    lay(tmp_path, {labels: "L", place: "P"})
    source = open_source((tmp_path / labels).parent)
    (image_id,) = source.image_ids
    assert find_images(source).folder.find(image_id).path.resolve() == tmp_path / place


# Zarr


def plate(path):
    zarr.create_group(path, zarr_format=2).attrs["plate"] = {"wells": [{"path": "A/1"}, {"path": "B/2"}]}
    for well, fields in (("A/1", ["0", "1"]), ("B/2", ["0"])):
        zarr.create_group(path / well, zarr_format=2).attrs["well"] = {"images": [{"path": name} for name in fields]}
        for name in fields:
            write(path / well / name, "0.4")
    return path


def test_plates(tmp_path):
    names = ["A_1_0", "A_1_1", "B_2_0"]
    first = plate(tmp_path / "plates/p.zarr")
    for place in (first, tmp_path / "plates"):
        assert open_source(place).image_ids == names
        assert [image.id for image in inputs.find_images([place]).images] == names
    plate(tmp_path / "plates/q.zarr")
    assert open_source(tmp_path / "plates").image_ids == [f"{name}_{well}" for name in "pq" for well in names]


def test_ome_zarr_is_predicted(tmp_path):
    write_multiscale(tmp_path / "d/a.zarr", PICTURE, "0.5")
    write_labels(tmp_path / "d/b.zarr", "0.5")
    a, b = inputs.find_images([tmp_path / "d"]).images
    np.testing.assert_array_equal(a.load(), PICTURE[None])
    assert b.problem == f"{tmp_path}/d/b.zarr has label images, but no image"


def test_channels_may_come_last(tmp_path):
    pixels = np.arange(60, dtype=np.uint8).reshape(4, 5, 3)
    write_multiscale(tmp_path / "a.zarr", pixels, "0.5", "yxc")
    (image,) = inputs.find_images([tmp_path / "a.zarr"]).images
    np.testing.assert_array_equal(image.load(), np.moveaxis(pixels, 2, 0))


@pytest.mark.parametrize("version", [2, 3])
def test_zarr_that_is_no_ome_zarr_is_named(tmp_path, version):
    zarr.create_array(tmp_path / "a.zarr", data=LABELS, zarr_format=version)
    for function in (open_source, lambda path: inputs.find_images([path])):
        with pytest.raises(CellprepError, match=r"is a plain Zarr array \(40 x 50, .*u.*\)\. OME-Zarr has multiscales"):
            function(tmp_path / "a.zarr")
