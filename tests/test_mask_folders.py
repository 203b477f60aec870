"""Folders of mask files, one per cell, as the 2018 Data Science Bowl has them."""

import numpy as np
import pytest
import tifffile
from conftest import masks
from hypothesis import assume, given
from PIL import Image

from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.errors import AnnotationError, SourceError
from cellprep.formats.annotations.record import FaultyImage

FIRST = np.array([[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0]], bool)
SECOND = np.array([[0, 0, 0, 0], [0, 1, 1, 1], [0, 0, 0, 1]], bool)
RGBA = np.dstack([np.arange(36, dtype=np.uint8).reshape(3, 4, 3), np.full((3, 4), 255, np.uint8)])


def save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".tif":
        tifffile.imwrite(path, pixels)
    else:
        Image.fromarray(pixels).save(path)


@pytest.fixture
def folder(tmp_path):
    """One image with two cells in either kind of file, and one without cells."""
    folder = tmp_path / "stage1_train"
    save(folder / "a/images/a.png", RGBA)
    save(folder / "a/masks/2.png", 255 * FIRST.astype(np.uint8))
    save(folder / "a/masks/10.tif", SECOND.astype(np.uint16))
    save(folder / "free/images/another name.png", RGBA)
    (folder / "free/masks").mkdir()
    return folder


def read(path):
    return {image.image_id: image for image in open_source(path).images()}


def build(path, out, **options):
    return build_targets(open_source(path), out, BuildOptions(jobs=1, quiet=True, **options))


def test_an_image_whose_cells_are_all_left_out_has_the_size_of_its_pixels(folder, tmp_path):
    (tmp_path / "flags.csv").write_text("image,row\na,1\na,2\n")
    report = build(folder, tmp_path / "s.zarr", exclude=tmp_path / "flags.csv")
    assert (report.new, report.cells, report.failures) == (2, 0, {})
    assert open_store(tmp_path / "s.zarr")["a"].shape == (3, 4)


def test_a_mask_of_another_size_than_its_image_is_the_one_named(folder, tmp_path):
    save(folder / "a/masks/2.png", np.zeros((3, 5), np.uint8))
    report = build(folder, tmp_path / "s.zarr")
    assert "2.png is 3 x 5" in report.failures["a"]


def test_each_file_is_a_cell(folder):
    source = open_source(folder)
    assert (source.format, source.order, source.image_ids) == ("mask-folder", None, ["a", "free"])
    found = read(folder)["a"].load()
    assert found.rows == (1, 2)  # in the order of the names: 10.tif, 2.png
    np.testing.assert_array_equal(found.runs.to_masks(), [SECOND, FIRST])
    assert read(folder)["a"].faults() == {}


def test_builds_with_the_images_that_lie_beside(folder, tmp_path):
    report = build(folder, tmp_path / "s.zarr")
    assert (report.new, report.cells, report.empty, report.failures) == (2, 2, 1, {})
    stored = open_store(tmp_path / "s.zarr")
    np.testing.assert_array_equal(stored["a"].read("image"), np.moveaxis(RGBA[..., :3], 2, 0))
    assert stored["a"].read("cells").tolist() == [[1, 4, -1], [2, 4, -1]]
    assert stored["a"].read("labels").tolist() == [[2, 2, 0, 0], [2, 2, 1, 1], [0, 0, 0, 1]]
    assert stored["free"].read("labels").tolist() == [[0] * 4] * 3
    assert build(folder, tmp_path / "s.zarr").current == 2
    (folder / "a/masks/2.png").rename(folder / "a/masks/1.png")
    assert build(folder, tmp_path / "s.zarr").rewritten == 1  # rows may have changed
    (folder / "a/masks/1.png").unlink()
    assert build(folder, tmp_path / "s.zarr").cells == 1


@given(masks(max_count=4))
def test_masks_are_read_as_they_are_written(tmp_path_factory, stack):
    assume(len(stack))
    folder = tmp_path_factory.getbasetemp() / "random"
    for number, mask in enumerate(stack):
        save(folder / f"a/masks/{number}.png", np.uint8(255) * mask)
    found = read(folder)["a"]
    np.testing.assert_array_equal(found.load().runs.to_masks(), stack)
    for file in (folder / "a/masks").iterdir():
        file.unlink()


def test_colours_and_palettes_are_masks_where_they_are_not_black(tmp_path):
    grey = 200 * FIRST.astype(np.uint8)
    blue = np.dstack([0 * grey, 0 * grey, grey, np.full_like(grey, 255)])
    palette = Image.fromarray(FIRST.astype(np.uint8))
    palette.putpalette([0, 0, 0, 90, 0, 200])
    save(tmp_path / "a/masks/blue.png", blue)
    save(tmp_path / "a/masks/bits.png", FIRST)
    palette.save(tmp_path / "a/masks/palette.png")
    np.testing.assert_array_equal(read(tmp_path)["a"].load().runs.to_masks(), [FIRST] * 3)


def test_hidden_files_are_nobodys(folder):
    for name in (".DS_Store", "._2.png"):
        (folder / "a/masks" / name).write_bytes(b"\0")
    (folder / ".cache/masks").mkdir(parents=True)
    (folder / "labels.csv").write_text("")
    assert list(read(folder)) == ["a", "free"]
    assert read(folder)["a"].files == ("10.tif", "2.png")


def test_a_black_mask_is_a_cell_without_pixels_and_is_named(folder, tmp_path):
    save(folder / "a/masks/3.png", np.zeros((3, 4), np.uint8))
    report = build(folder, tmp_path / "s.zarr")
    assert (report.blank, report.hidden) == ({"a": (3,)}, {})
    assert report.notes()[:2] == ["1 cell without pixels, kept in `cells`:", "  a: row 3"]
    assert build(folder, tmp_path / "s.zarr").blank == {"a": (3,)}


def test_images_without_masks_are_named(folder, tmp_path):
    save(folder / "test1/images/test1.png", RGBA)
    (folder / "notes").mkdir()
    assert build(folder, tmp_path / "s.zarr").unannotated == ["test1"]


def test_a_faulty_file_fails_its_image_alone(folder, tmp_path):
    (folder / "a/masks/3.png").write_bytes(b"")
    record = read(folder)["a"]
    assert record.faults() == {3: f"{folder}/a/masks/3.png is empty"}
    assert build(folder, tmp_path / "s.zarr").failures == {"a": f"{folder}/a/masks/3.png is empty"}
    assert record.without([3]).load().rows == (1, 2)


def test_masks_of_another_size(folder):
    save(folder / "a/masks/3.png", FIRST.T)
    record = read(folder)["a"]
    size = "3.png is 4 x 3 (height x width), but the image or its first mask is 3 x 4 (height x width)"
    with pytest.raises(AnnotationError) as caught:
        record.load()
    assert str(caught.value).endswith(size)
    assert [row for row, problem in record.faults().items() if problem.endswith(size)] == [3]
    assert list(record.faults((4, 3))) == [1, 2]


@pytest.mark.parametrize("name", ["3.jpg", "3.gif", "masks.csv"])
def test_what_is_no_mask_is_not_dropped_in_silence(folder, tmp_path, name):
    (folder / "a/masks" / name).write_bytes(b"x")
    assert build(folder, tmp_path / "s.zarr").failures == {
        "a": f"{folder}/a/masks/{name} is not a mask file: its name must end in .png, .tif, .tiff"
    }


def test_images_that_cannot_be_found_fail_alone(folder, tmp_path):
    save(folder / "twice/images/1.png", RGBA)
    save(folder / "twice/images/2.png", RGBA)
    (folder / "twice/masks").mkdir()
    (folder / "none/images").mkdir(parents=True)
    (folder / "none/masks").mkdir()
    (folder / "nothing/masks").mkdir(parents=True)
    save(folder / "__x/masks/1.png", FIRST)
    images = read(folder)
    formats = "(.png, .tif, .tiff, .jpg, .jpeg, .webp, .bmp, .npy, .npz, .jp2, .j2k, .nd2, .lif, .czi)"
    assert images["twice"] == FaultyImage("twice", f"there is no image file twice.* in {folder}/twice/images {formats}")
    assert images["none"] == FaultyImage("none", f"{folder}/none/images contains no image {formats}")
    assert images["__x"].problem.endswith("image id '__x' is refused: it begins with two underscores")
    failures = build(folder, tmp_path / "s.zarr").failures
    assert (
        failures["nothing"]
        == f"{folder}/nothing/masks contains no mask, and there is no image, so that the size is unknown"
    )
    assert list(open_store(tmp_path / "s.zarr")) == ["a", "free"]


def test_one_of_several_images_may_have_the_id(folder):
    save(folder / "a/images/overview.png", RGBA[:1])
    assert read(folder)["a"].pixels.path == folder / "a/images/a.png"


def test_a_folder_without_masks(tmp_path):
    with pytest.raises(SourceError, match="contains no folder <id>/masks"):
        open_source(tmp_path, "mask-folder")
