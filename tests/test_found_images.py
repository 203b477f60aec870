"""Images found automatically: their places, the notes about them, and no failures because of them."""

import json

import numpy as np
import pytest
import zarr
from conftest import tree
from PIL import Image

from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.errors import UsageError
from cellprep.formats.layouts.pairing import find_images
from cellprep.store.image import read_attributes
from cellprep.system.places import entries_in

ROWS = ["a,1 3 7 3,6,5,round", "b,1 30,6,5,round", "c,,4,3,round"]
WITHOUT = "no images: the store has only targets; networks that take images cannot be trained on it"


def build(source, out, **options):
    return build_targets(open_source(source), out, BuildOptions(**{"jobs": 1, "quiet": True, **options}))


def save(path, shape, value=7):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(np.full(shape, value, np.uint8)).save(path)


def stored_pixels(out):
    store = open_store(out)
    return {image_id: store[image_id].read("image").flat[0] for image_id in store if "image" in store[image_id].arrays}


COCO = {
    "images": [{"id": k, "file_name": f"one/{name}.png", "width": 6, "height": 5} for k, name in enumerate("ab")],
    "annotations": [],
    "categories": [],
}

# By place of the files: the source, and whether the folder is one that --images may name.
PLACES = {
    "train/a.png": ("train.csv", "train/"),
    "images/a.TIF": ("train.csv", "images/"),
    "train/a/images/a.png": ("train.csv", "train/"),
    "stem/a.jpg": ("stem.csv", "stem/"),
    "stage1_train/a/images/a.png": ("stage1_train_labels.csv", "stage1_train/"),
    "one/a.png": ("coco.json", "./"),
    "coco/one/a.png": ("coco.json", "coco/"),
    "images/a.png": ("coco.json", "images/"),
    "images/a.jpeg": ("labels", "images/"),
}


@pytest.mark.parametrize("place", PLACES)
def test_images_are_found_where_data_sets_keep_them(place, tmp_path, monkeypatch, write_csv, cli):
    monkeypatch.chdir(tmp_path)
    source, folder = PLACES[place]
    (tmp_path / "coco.json").write_text(json.dumps(COCO))
    for name in ("train.csv", "stem.csv", "stage1_train_labels.csv"):
        write_csv(*ROWS, name=name)
    for image_id in "ab":
        save(tmp_path / f"labels/{image_id}.png", (5, 6), value=1)
    save(tmp_path / place, (5, 6))
    result = cli("build-targets", source, "--out", "found.zarr", "--jobs", 1)
    assert result.exit_code == 0, result.stderr
    total = len(open_source(source).image_ids)
    assert result.stderr.splitlines()[-3] == f"images: {folder}, 1 of {total} found"
    assert stored_pixels("found.zarr") == {"a": 7}
    named = cli("build-targets", source, "--out", "named.zarr", "--images", folder, "--image", "a", "--jobs", 1)
    assert named.exit_code == 0, named.stderr
    assert tree(tmp_path / "found.zarr/a") == tree(tmp_path / "named.zarr/a")
    assert read_attributes(tmp_path / "found.zarr")["recipe"]["images"] is True


def test_the_first_folder_counts_and_others_are_named(tmp_path, write_csv):
    csv = write_csv(*ROWS)
    save(tmp_path / "images/b.png", (5, 6))
    save(tmp_path / "train/z.png", (5, 6))
    assert build(csv, tmp_path / "s.zarr").pixels.others == ()
    save(tmp_path / "train/b.png", (5, 6), value=1)
    report = build(csv, tmp_path / "s.zarr")
    assert stored_pixels(tmp_path / "s.zarr") == {"b": 1}
    assert f"note: {tmp_path}/images/ has images of these names, too: choose with --images" in report.notes()
    assert report.unannotated == ["z.png"]


def test_files_that_a_source_tells_are_no_second_folder(tmp_path):
    (tmp_path / "coco.json").write_text(json.dumps(COCO).replace("one/", "images/"))
    save(tmp_path / "images/a.png", (5, 6))
    assert build(tmp_path / "coco.json", tmp_path / "s.zarr").pixels.others == ()
    save(tmp_path / "images/b.png", (5, 6))
    save(tmp_path / "train/b.png", (5, 6))
    assert build(tmp_path / "coco.json", tmp_path / "s.zarr").pixels.others == (str(tmp_path / "train"),)


@pytest.mark.parametrize("jobs", [1, 2])
def test_faulty_files_fail_no_image(tmp_path, write_csv, jobs):
    csv = write_csv(*ROWS, "d,1 2,6,5,x", "e,1 2,6,5,x", "f,1 2 3,6,5,x")
    folder = tmp_path / "train"
    save(folder / "a.png", (5, 6))
    save(folder / "b.png", (6, 5))
    (folder / "d.png").write_bytes(b"not a picture")
    for end in ("png", "tif"):
        save(folder / f"e.{end}", (5, 6))
    out = tmp_path / "s.zarr"
    report = build(csv, out, jobs=jobs)
    assert list(report.failures) == ["f"]
    notes = [line.replace(str(folder), "train") for line in report.notes()]
    assert notes == [
        "1 image built without pixels: train/ has no file for these:",
        "  c",
        "1 image built without pixels: train/ has several files for each of these:",
        "  e: train/e.png, train/e.tif",
        "1 image built without pixels: their files cannot be read:",
        "  d: train/d.png: it is damaged, or not a PNG",
        "1 image built without pixels: their files contradict their annotations:",
        "  b: train/b.png is 6 x 5 (height x width): its annotations are 5 x 6; height and width are swapped",
        "images: train/, 4 of 6 found",
        f"{out}: 5 images (5 new, 0 rewritten, 0 current), 4 cells, 1 image without cells",
    ]
    before = {path: path.stat().st_mtime_ns for path in out.rglob("*")}
    again = build(csv, out, jobs=jobs)
    assert again.notes()[:-1] == report.notes()[:-1]
    assert (again.current, again.pixels.gained, again.pixels.lost) == (5, [], [])
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*")} == before
    build(csv, tmp_path / "none.zarr", images=False)
    for image_id in "bcde":
        assert tree(out / image_id) == tree(tmp_path / "none.zarr" / image_id)
    assert sorted(build(csv, tmp_path / "given.zarr", images=folder).failures) == ["b", "c", "d", "e", "f"]


def test_a_long_list_of_images_without_files_is_short(tmp_path, write_csv):
    csv = write_csv(*(f"i{k:02},1 2,6,5,x" for k in range(30)))
    save(tmp_path / "train/i07.png", (5, 6))
    notes = build(csv, tmp_path / "s.zarr").notes()
    assert notes[0].startswith("29 images built without pixels: ")
    assert notes[10:12] == ["  i10", "  and 19 more images"]


def test_found_images_tell_sizes_that_the_source_does_not(tmp_path, write_csv):
    csv = write_csv("a,4 1 7 2", "b,4 1", "c,4 1", header="ImageId,EncodedPixels")
    with pytest.raises(UsageError, match="give the image files"):
        build(csv, tmp_path / "s.zarr")
    save(tmp_path / "train/a.png", (3, 4))
    (tmp_path / "train/b.png").write_bytes(b"not a picture")
    report = build(csv, tmp_path / "s.zarr")
    assert list(open_store(tmp_path / "s.zarr")) == ["a"]
    assert "it is damaged, or not a PNG" in report.failures["b"]
    assert "there is no image file c.* in" in report.failures["c"]
    with pytest.raises(UsageError, match="they are read from the images, so leave out --no-images"):
        build(csv, tmp_path / "s.zarr", images=False)


def test_gains_and_losses_are_told(tmp_path, write_csv):
    csv, out = write_csv(*ROWS), tmp_path / "s.zarr"
    assert build(csv, out).notes()[-2] == f"{WITHOUT}; give --images"
    without = tree(out)
    for image_id, shape in {"a": (5, 6), "b": (5, 6)}.items():
        save(tmp_path / f"train/{image_id}.png", shape)
    report = build(csv, out)
    assert (report.rewritten, report.current, report.pixels.gained) == (2, 1, ["a", "b"])
    assert "2 images gained pixels" in report.notes()
    (tmp_path / "train/b.png").write_bytes(b"")
    assert build(csv, out).pixels.lost == ["b"]
    (tmp_path / "train").rename(tmp_path / "elsewhere")
    notes = build(csv, out).notes()
    assert notes[:3] == [
        "warning: 1 image lost the pixels that the store had; --images FOLDER brings them back:",
        "  a",
        f"{WITHOUT}; give --images",
    ]
    assert tree(out) == without


def test_images_may_be_declined(tmp_path, write_csv, cli):
    csv, out = write_csv(*ROWS), tmp_path / "s.zarr"
    save(tmp_path / "train/a.png", (5, 6))
    result = cli("build-targets", csv, "--out", out, "--no-images", "--jobs", 1)
    assert WITHOUT in result.stderr.splitlines()
    assert stored_pixels(out) == {}
    assert read_attributes(out)["recipe"]["images"] is False
    result = cli("build-targets", csv, "--out", out, "--no-images", "--images", tmp_path / "train")
    assert (result.exit_code, result.stderr) == (
        2,
        "error: --images and --no-images contradict each other: give one of them\n",
    )
    with pytest.raises(UsageError, match="images is the bool True: give a path, or False for none"):
        BuildOptions(images=True)


def test_pixels_of_the_source_itself_may_be_declined(tmp_path):
    """They still tell what nothing else does: an OME-Zarr image its pixel size, a folder without masks its size."""
    source = tmp_path / "source"
    save(source / "masks/a.png", (5, 6), value=1)
    save(source / "images/a.png", (5, 6))
    build(source, tmp_path / "own.zarr", pixel_size=0.5)
    labels = zarr.open_group(tmp_path / "own.zarr/a/labels/instances")
    labels.attrs["ome"] = {**labels.attrs["ome"], "multiscales": [{"axes": [], "datasets": []}]}
    save(tmp_path / "folders/e/images/e.png", (3, 4))
    (tmp_path / "folders/e/masks").mkdir()
    for path, image_id, shape in ((source, "a", [5, 6]), (tmp_path / "folders", "e", [3, 4])):
        out = tmp_path / f"{image_id}.zarr"
        assert build(path, out).pixels.stored
        assert stored_pixels(out) == {image_id: 7}
        assert build(path, out, images=False).pixels.lost == [image_id]
        assert stored_pixels(out) == {}
        assert open_store(out)[image_id].attributes["shape"] == shape
        assert build(path, out, images=False).current == 1
        assert build(path, out).pixels.gained == [image_id]


def test_a_folder_that_cannot_be_searched_is_named(tmp_path, write_csv, monkeypatch):
    csv = write_csv(*ROWS)
    (tmp_path / "images").mkdir()

    def refuse(folder):
        if folder.name == "images":
            raise PermissionError(13, "Permission denied")
        return entries_in(folder)

    monkeypatch.setattr("cellprep.formats.images.folder.entries_in", refuse)
    report = build(csv, tmp_path / "s.zarr")
    assert f"note: cannot read the image folder {tmp_path}/images: Permission denied" in report.notes()


def test_images_are_found_in_a_folder_that_may_be_entered_but_not_listed(tmp_path, write_csv, monkeypatch):
    csv = write_csv(*ROWS)
    (tmp_path / "images").mkdir()
    save(tmp_path / "images" / "a.png", (5, 6))

    def refuse(folder):
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr("cellprep.formats.layouts.pairing.entries_in", refuse)
    assert find_images(open_source(csv)).folder.path == tmp_path / "images"


@pytest.mark.parametrize("name", ["a.png", "a.tif"])
def test_each_file_is_read_once(write_csv, tmp_path, monkeypatch, name):
    """To recognise, to hash and to parse it; an image's tags and values, too."""
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / name)
    opened, left_out = [], tmp_path / "flags.csv"
    left_out.write_text("image,row\n")
    for module in ("system.files", "formats.tables", "formats.images.file"):
        monkeypatch.setattr(f"cellprep.{module}.open_file", lambda path: opened.append(path.name) or path.open("rb"))
    options = BuildOptions(images=tmp_path, exclude=left_out, jobs=1, quiet=True)
    report = build_targets(open_source(write_csv("a,1 5,5,4,round")), tmp_path / "s.zarr", options)
    assert (report.errors(), report.new) == ([], 1)
    assert [name for name in opened if name != "zarr.json"] == ["train.csv", "flags.csv", name]
