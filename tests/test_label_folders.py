"""Folders of label images: runs of labels, layouts, file types, and messages about faulty files."""

import io
from dataclasses import replace

import numpy as np
import pytest
import tifffile
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from PIL import Image
from scipy.ndimage import distance_transform_edt

from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.core.label_images import looks_like_picture
from cellprep.core.rle import runs_from_labels
from cellprep.errors import CellprepError, ImageFileError, SourceError, UsageError
from cellprep.formats.annotations.content import Content
from cellprep.formats.annotations.record import ImageRecord
from cellprep.formats.images import IMAGE_FORMATS
from cellprep.formats.images.file import ImageFile
from cellprep.formats.label_images.file import LabelFileImage
from cellprep.formats.label_images.writer import encode

LABELS = np.array([[0, 7, 7, 0], [0, 7, 3, 3], [100, 0, 0, 3]])
GREY = np.arange(12, dtype=np.uint8).reshape(3, 4)


def read(path, **options):
    return {image.image_id: image for image in open_source(path, **options).images()}


def build(path, out, **options):
    return build_targets(open_source(path), out, BuildOptions(jobs=1, quiet=True, **options))


def save(path, array):
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.suffix == ".npy":
        np.save(path, array)
    elif path.suffix.startswith(".tif"):
        tifffile.imwrite(path, array)
    else:
        Image.fromarray(array).save(path)
    return path


def is_labels(found, labels=LABELS):
    """Return whether annotations are the labels, each with its number."""
    values = [value for value in np.unique(labels).tolist() if value]
    stack = np.array([labels == value for value in values]).reshape(-1, *labels.shape)
    return found.rows == tuple(values) and np.array_equal(found.runs.to_masks(), stack)


# Runs of labels


@given(
    arrays.arrays(
        st.sampled_from([np.uint8, np.int16, np.uint16, np.int64, ">u4", np.uint64]),
        st.tuples(st.integers(1, 7), st.integers(1, 7)),
        elements=st.sampled_from([0, 0, 1, 2, 3, 5, 127]),
    ),
    st.sampled_from(["row", "column"]),
)
def test_runs_of_labels_are_their_pixels(labels, order):
    runs, values = runs_from_labels(labels, order)
    assert values.tolist() == sorted(set(labels.ravel().tolist()) - {0})
    assert runs.order == order
    for mask, value in zip(runs.to_masks(), values, strict=True):
        np.testing.assert_array_equal(mask, labels == value)
    ends = runs.starts + runs.lengths
    same = np.diff(runs.owners) == 0
    assert (runs.starts[1:][same] > ends[:-1][same]).all()  # sorted, and as long as can be


def test_labels_may_be_as_large_as_int64_holds():
    largest = np.iinfo(np.int64).max
    runs, values = runs_from_labels(np.array([[largest, 1], [0, largest]], np.uint64))
    assert values.tolist() == [1, largest]
    assert runs.areas.tolist() == [1, 2]


@given(masks(), st.data())
def test_some_of_the_runs_can_be_taken(stack, data):
    from cellprep import encode_rle, parse_rle

    kept = np.array(data.draw(st.lists(st.booleans(), min_size=len(stack), max_size=len(stack))), bool)
    runs = parse_rle(encode_rle(stack), stack.shape[1:])
    np.testing.assert_array_equal(runs.take(kept).to_masks(), stack[kept])


# Types of files

TYPES = ["int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64"]


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("byteorder", "<>")
@pytest.mark.parametrize("end", [".npy", ".tif"])
def test_any_integers(tmp_path, dtype, byteorder, end):
    labels = LABELS.astype(np.dtype(dtype).newbyteorder(byteorder))
    if end == ".npy":
        np.save(tmp_path / "a.npy", labels)
    else:
        tifffile.imwrite(tmp_path / "a.tif", labels, byteorder=byteorder)
    assert is_labels(read(tmp_path)["a"].load())


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_png(tmp_path, dtype):
    save(tmp_path / "a.PNG", LABELS.astype(dtype))
    assert is_labels(read(tmp_path)["a"].load())


@pytest.mark.parametrize("most", [1, 3, 15, 255])
def test_a_palette_is_no_label(tmp_path, most):
    labels = (np.arange(12).reshape(3, 4) * 7 % (most + 1)).astype(np.uint8)
    image = Image.fromarray(labels)
    image.putpalette(np.random.default_rng(0).integers(0, 256, 768, dtype=np.uint8).tobytes())
    image.save(tmp_path / "a.png", bits=most.bit_length())
    with Image.open(tmp_path / "a.png") as saved:
        assert saved.mode == "P"
    assert is_labels(read(tmp_path)["a"].load(), labels)


def test_compressed_tiff(tmp_path):
    tifffile.imwrite(tmp_path / "a.tiff", LABELS.astype(np.uint16), compression="zlib", predictor=True)
    for name, dtype in [("b", np.uint8), ("c", np.uint16), ("d", np.int32)]:
        Image.fromarray(LABELS.astype(dtype)).save(tmp_path / f"{name}.tif", compression="tiff_lzw")
    for image in read(tmp_path).values():
        assert is_labels(image.load())


def test_floats_bits_colours_and_axes_of_one(tmp_path):
    numbers = LABELS.astype(np.uint8)
    tall = LABELS.repeat(2, 0)[..., None]
    colours = np.where(tall > 0, tall * [1, 2, 1] + [0, 0, 50], 0).astype(np.uint8).repeat(2, 1)
    save(tmp_path / "float.tif", LABELS.astype(np.float32))
    save(tmp_path / "double.npy", LABELS.astype(float))
    save(tmp_path / "one.npy", LABELS[None])
    tifffile.imwrite(tmp_path / "last.tif", numbers[..., None], photometric="minisblack")
    save(tmp_path / "windows.bmp", numbers)
    np.savez(tmp_path / "archive.npz", LABELS)
    tifffile.imwrite(tmp_path / "palette.tif", numbers, photometric="palette", colormap=np.zeros((3, 256), np.uint16))
    found = read(tmp_path)
    assert len(found) == 7
    for image in found.values():
        assert is_labels(image.load()), image.image_id
    save(tmp_path / "c/rgb.png", colours)
    save(tmp_path / "c/rgb.npy", colours)
    packed = colours.astype(int) @ [65536, 256, 1]
    for path in (tmp_path / "c/rgb.png", tmp_path / "c/rgb.npy"):
        assert is_labels(LabelFileImage(image_id="a", source="", path=path).load(), packed)


@pytest.mark.parametrize("name", ["a.tif", "a.npy", "a.png", "pillow.tif"])
def test_bits_are_one_label(tmp_path, name):
    if name == "pillow.tif":
        Image.fromarray(LABELS > 0).save(tmp_path / name)
    else:
        save(tmp_path / name, LABELS > 0)
    (image,) = read(tmp_path).values()
    np.testing.assert_array_equal(image.load().runs.to_masks()[0], LABELS > 0)


@pytest.mark.parametrize("stored", [LABELS, 255 - LABELS], ids=["0 is background", "white is background"])
def test_white_is_zero_where_one_reading_is_possible(tmp_path, stored):
    tifffile.imwrite(tmp_path / "a.tif", stored.astype(np.uint8), photometric="miniswhite")
    assert is_labels(read(tmp_path)["a"].load())


def test_white_is_zero_is_refused_where_both_are(tmp_path):
    both = np.where(LABELS == 7, 255, LABELS).astype(np.uint8)
    tifffile.imwrite(tmp_path / "a.tif", both, photometric="miniswhite")
    Image.fromarray(LABELS > 0).save(tmp_path / "b.tif", tiffinfo={262: 0})
    for image in read(tmp_path).values():
        with pytest.raises(ImageFileError, match="so that either 0 or the largest number may be the background"):
            image.load()


def test_turned_labels_are_refused_unless_something_tells(tmp_path):
    tagged = {"extratags": [(274, "H", 1, 4, True)]}
    tifffile.imwrite(tmp_path / "a.tif", LABELS.astype(np.uint16), **tagged)
    (image,) = read(tmp_path).values()
    with pytest.raises(
        ImageFileError, match=r"its Orientation tag \(4\) asks for a rotation, which not all programs apply to"
    ):
        image.load()
    assert is_labels(image.read_as("ignore", keep_channels=False).load())
    assert is_labels(image.read_as("apply", keep_channels=False).load(), LABELS[::-1])
    tifffile.imwrite(tmp_path / "picture.tif", GREY, **tagged)
    both = replace(image, pixels=ImageFile(tmp_path / "picture.tif"))
    assert is_labels(both.load(), LABELS[::-1])
    assert len({image.read_as(choice, keep_channels=False).fingerprint() for choice in (None, "apply", "ignore")}) == 3


def test_npy_in_columns(tmp_path):
    np.save(tmp_path / "a.npy", np.asfortranarray(LABELS))
    assert is_labels(read(tmp_path)["a"].load())


# Layouts


def test_labels_alone(tmp_path):
    for name in ("b.npy", "a.tif", "c.d.png"):
        save(tmp_path / name, LABELS.astype(np.uint8))
    (tmp_path / "._a.tif").write_bytes(b"\0")
    (tmp_path / "notes.txt").write_text("")
    source = open_source(tmp_path)
    assert (source.format, source.image_ids, source.unannotated) == ("label-folder", ["a", "b", "c.d"], [])
    for image in source.images():
        assert image.pixels is None
        assert is_labels(image.load())


def stardist(folder):
    save(folder / "images/a.tif", GREY)
    save(folder / "images/free.tif", GREY)
    return save(folder / "masks/a.tif", LABELS.astype(np.uint16))


def cellpose(folder):
    save(folder / "a.png", GREY)
    save(folder / "free.png", GREY)
    np.save(folder / "a_seg.npy", np.array({"masks": LABELS}), allow_pickle=True)
    return save(folder / "a_masks.tif", LABELS.astype(np.uint16))


def cellpose_cp(folder):
    save(folder / "a.png", GREY)
    save(folder / "free.png", GREY)
    return save(folder / "a_cp_masks.png", LABELS.astype(np.uint16))


@pytest.mark.parametrize("layout", [stardist, cellpose, cellpose_cp])
def test_labels_beside_their_images(tmp_path, layout):
    labels = layout(tmp_path / "data")
    source = open_source(tmp_path / "data")
    assert (source.format, source.image_ids) == ("label-folder", ["a"])
    assert [name.partition(".")[0] for name in source.unannotated] == ["free"]
    report = build(tmp_path / "data", tmp_path / "s.zarr")
    assert (report.new, report.failures) == (1, {})
    assert f"  {source.unannotated[0]}" in report.notes()
    stored = open_store(tmp_path / "s.zarr")["a"]
    np.testing.assert_array_equal(stored.read("image"), GREY)
    np.testing.assert_array_equal(stored.read("labels"), np.searchsorted([0, 3, 7, 100], LABELS))
    assert stored.read("cells").tolist() == [[3, 3, -1], [7, 3, -1], [100, 1, -1]]
    assert build(tmp_path / "data", tmp_path / "s.zarr").current == 1
    save(labels, np.zeros_like(LABELS).astype(np.uint16))
    assert build(tmp_path / "data", tmp_path / "s.zarr").rewritten == 1


@pytest.mark.parametrize("name", ["a.tif", "a_masks.tif", "a_cp_masks.tif"])
def test_labels_and_images_in_two_folders(tmp_path, name):
    save(tmp_path / "labels" / name, LABELS.astype(np.uint16))
    save(tmp_path / "images/a.png", GREY)
    report = build(tmp_path / "labels", tmp_path / "s.zarr", images=tmp_path / "images")
    assert (report.new, report.failures) == (1, {})
    np.testing.assert_array_equal(open_store(tmp_path / "s.zarr")["a"].read("image"), GREY)


def test_masks_without_a_folder_of_images(tmp_path):
    save(tmp_path / "masks/a.tif", LABELS.astype(np.uint16))
    assert read(tmp_path)["a"].pixels is None


# Faults

FAULTY_LABELS = {
    "halves": ("a.tif", LABELS / 2, "a.tif has the float64 value 3.5: label images have integers, or floats"),
    "large floats": ("a.npy", np.full((3, 4), 2.0**24, np.float32), "a.npy has the float32 value 16777216.0"),
    "no numbers": ("a.npy", np.full((3, 4), np.nan), "a.npy has the float64 value nan: label images have"),
    "negative": (
        "a.npy",
        -LABELS,
        "a.npy has the label -100: labels must be 0 for background, and 1 to 2^63 - 1 for cells",
    ),
    "negative in a TIFF": ("a.tif", -LABELS.astype(np.int16), "a.tif has the label -100"),
    "too large": ("a.npy", np.full((3, 4), 2**63, np.uint64), "a.npy has the label 9223372036854775808"),
    "stack of three": (
        "a.npy",
        np.zeros((3, 9, 8), int),
        "a.npy: it is a stack (3 x 9 x 8): labels and masks must be one",
    ),
    "stack": (
        "a.npy",
        np.zeros((5, 9, 8), int),
        "a.npy: it is a stack (5 x 9 x 8): labels and masks must be one plane",
    ),
    "stack in a TIFF": (
        "a.tif",
        np.zeros((5, 9, 8), np.uint16),
        "a.tif: it is a stack (5 x 9 x 8): labels and masks must be one plane",
    ),
    "channels": (
        "a.npy",
        np.zeros((2, 9, 8), int),
        "a.npy has the shape (2, 9, 8): a label image must have one number",
    ),
    "colours": ("a.png", np.arange(1, 37, dtype=np.uint8).reshape(3, 4, 3), "a.png: its colours represent"),
    "half transparent": (
        "a.png",
        np.uint8([[[0, 0, 0, 0], [0, 0, 9, 1], [0, 9, 0, 2]]]),
        "a.png: some of its",
    ),
    "line": ("a.npy", LABELS[0], "a.npy: it has the shape (4,): an image must be (height, width)"),
    "number": ("a.npy", np.array(5), "a.npy: it has the shape (): an image"),
    "no pixel": ("a.npy", LABELS[:0], "a.npy: it has the shape (0, 4): an image"),
    "records": ("a.npy", np.zeros((2, 2), "i4,i4"), "a.npy: it has [('f0', '<i4'), ('f1', '<i4')] values: images"),
    "dates": ("a.npy", np.zeros((2, 2), "M8[s]"), "a.npy: it has datetime64[s] values: images have integers"),
    "objects": ("a.npy", np.array([[{}]]), "a.npy: it contains Python objects: a numeric array is expected"),
    "words": ("a.npy", b"labels", "a.npy: it is damaged, or not a NPY"),
    "empty": ("a.npy", b"", "a.npy is empty"),
    "empty PNG": ("a.png", b"", "a.png is empty"),
    "no PNG": ("a.png", b"labels", "a.png: it is damaged, or not a PNG"),
    "no TIFF": ("a.tif", b"labels", "a.tif: it is damaged, or not a TIFF"),
}


@pytest.mark.parametrize(("name", "content", "message"), FAULTY_LABELS.values(), ids=FAULTY_LABELS.keys())
def test_a_faulty_label_image_fails_alone(tmp_path, name, content, message):
    folder = tmp_path / "labels"
    save(folder / "good.npy", LABELS)
    if isinstance(content, bytes):
        (folder / name).write_bytes(content)
    else:
        save(folder / name, content)
    report = build(folder, tmp_path / "s.zarr")
    assert report.failures["a"].startswith(f"{folder}/{message}")
    assert list(open_store(tmp_path / "s.zarr")) == ["good"]


def test_an_archive_is_no_array(tmp_path):
    with (tmp_path / "a.npy").open("wb") as file:
        np.savez(file, labels=LABELS)
    with pytest.raises(ImageFileError, match=r"a\.npy: it is a NPZ file with the extension of NPY: rename it"):
        read(tmp_path)["a"].load()


def test_a_header_that_promises_too_much(tmp_path):
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": (10**7, 10**7)})
    (tmp_path / "a.npy").write_bytes(file.getvalue())
    with pytest.raises(ImageFileError, match=r"a\.npy: an array of 10000000 x 10000000 values needs 800,000.0 GB"):
        read(tmp_path)["a"].load()
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "<i8", "fortran_order": False, "shape": (10**4, 10**3)})
    (tmp_path / "a.npy").write_bytes(file.getvalue())
    with pytest.raises(ImageFileError, match=r"a\.npy: it is damaged: it claims 80,000,000 bytes"):
        read(tmp_path)["a"].load()


def test_damage_to_a_palette_png_is_seen(tmp_path):
    image = Image.fromarray(LABELS.astype(np.uint8))
    image.putpalette(bytes(range(256)) * 3)
    image.save(tmp_path / "a.png")
    content = bytearray((tmp_path / "a.png").read_bytes())
    content[content.index(b"IDAT") + 8] ^= 0xFF
    (tmp_path / "a.png").write_bytes(content)
    with pytest.raises(ImageFileError, match=r"a\.png: it is damaged: it cannot be decoded as PNG"):
        read(tmp_path)["a"].load()


def test_images_and_labels_that_do_not_match_fail_alone(tmp_path):
    folder = tmp_path / "data"
    stardist(folder)
    for name in ("twice.tif", "twice.npy", "other.tif", "__x.tif", "nothing.tif"):
        save(folder / "masks" / name, LABELS.astype(np.uint8))
    save(folder / "images/other.tif", GREY.T)
    save(folder / "images/twice.tif", GREY)
    assert build(folder, tmp_path / "s.zarr").failures == {
        "__x": f"{folder}/masks/__x.tif: image id '__x' is refused: it begins with two underscores",
        "nothing": f"there is no image file nothing.* in {folder}/images ({', '.join(IMAGE_FORMATS)})",
        "other": f"{folder}/images/other.tif is 4 x 3 (height x width): "
        "its annotations are 3 x 4; height and width are swapped",
        "twice": f"several label images have this id: {folder}/masks/twice.npy, {folder}/masks/twice.tif; keep one",
    }
    assert list(open_store(tmp_path / "s.zarr")) == ["a"]


def test_names_with_control_characters_stay_one_line(tmp_path):
    save(tmp_path / "labels/a\nb.npy", LABELS)
    report = build(tmp_path / "labels", tmp_path / "s.zarr")
    assert all(line.isprintable() for line in report.errors())
    assert "it contains a control character" in report.errors()[1]


def test_folders_without_labels(tmp_path):
    (tmp_path / "masks").mkdir()
    with pytest.raises(
        SourceError, match=r"masks contains no label image \(\.npy, \.npz, \.png, \.tif, \.tiff, \.bmp\)"
    ):
        open_source(tmp_path, "label-folder")
    with pytest.raises(
        SourceError,
        match=r"has an unknown format: it contains no files \(formats that can be read: kaggle-csv",
    ):
        open_source(tmp_path)
    file = save(tmp_path / "a.npy", LABELS)
    with pytest.raises(SourceError, match=r"cannot read .*a\.npy: Not a directory"):
        open_source(file, "label-folder")
    with pytest.raises(SourceError, match="has an unknown format"):
        open_source(file)
    (tmp_path / "masks").rmdir()
    with pytest.raises(UsageError, match="has the format label-folder, to which --rle-order does not apply"):
        open_source(tmp_path, rle_order="row")


# Fuzz


@given(st.sampled_from([".npy", ".png", ".tif", "p.png"]), st.integers(0, 2**32 - 1), st.booleans())
def test_files_with_bytes_changed(tmp_path_factory, end, seed, cut):
    rng = np.random.default_rng(seed)
    folder = tmp_path_factory.getbasetemp() / "changed"
    if end == "p.png":
        image = Image.fromarray(LABELS.astype(np.uint8))
        image.putpalette(bytes(range(256)) * 3)
        folder.mkdir(exist_ok=True)
        path = folder / "a.png"
        image.save(path)
    else:
        path = save(folder / f"a{end}", LABELS.astype(np.uint16))
    content = bytearray(path.read_bytes())
    for place in rng.integers(0, len(content), rng.integers(1, 4)):
        content[place] = rng.integers(256)
    path.write_bytes(content[: rng.integers(len(content))] if cut else content)
    for image in open_source(folder).images():
        assert isinstance(image, ImageRecord)
        try:
            image.load()
        except (CellprepError, MemoryError) as error:
            assert "\n" not in str(error)
    path.unlink()


@given(st.sampled_from(["a.npy", "a.png", "a.tif"]), st.binary(max_size=80))
def test_files_of_random_bytes(tmp_path_factory, name, content):
    folder = tmp_path_factory.getbasetemp() / "random-labels"
    folder.mkdir(exist_ok=True)
    magic = {"a.npy": b"\x93NUMPY\x01\x00", "a.png": b"\x89PNG\r\n\x1a\n", "a.tif": b"II*\x00"}[name]
    for prefix in (b"", magic):
        (folder / name).write_bytes(prefix + content)
        with pytest.raises(ImageFileError):
            read(folder)["a"].load()
    (folder / name).unlink()


def cells_of_one_pixel(count):
    return np.bincount(RNG.choice(40000, count, replace=False), np.arange(1, count + 1), 40000).reshape(200, 200)


RNG = np.random.default_rng(0)
ROWS, COLUMNS = np.indices((200, 200))
NEAREST = np.argmin([(ROWS - y) ** 2 + (COLUMNS - x) ** 2 for y, x in RNG.integers(0, 200, (300, 2))], axis=0)
RINGS = np.where((ROWS % 10 - 4.5) ** 2 + (COLUMNS % 10 - 4.5) ** 2 > 9, 0, 1 + ROWS // 10 * 20 + COLUMNS // 10)
RINGS[(ROWS % 10 - 4.5) ** 2 + (COLUMNS % 10 - 4.5) ** 2 < 4] = 0
BLOBS = 40 + 30 * np.sin(ROWS / 9) * np.cos(COLUMNS / 7)


@pytest.mark.parametrize(
    ("labels", "expected"),
    [
        (1 + ROWS, False),  # stripes of one pixel
        (1 + COLUMNS * 37 % 200, False),
        (RINGS, False),
        (np.hypot(ROWS - 99, COLUMNS - 99).astype(int), False),  # rings in rings
        (cells_of_one_pixel(5000), False),
        (NEAREST, False),
        (NEAREST % 255, False),  # numbers that recur, as in 8 bits
        (NEAREST * (RNG.random((200, 200)) < 0.2), False),  # cells that crumble
        (255 * RNG.integers(0, 2, (200, 200)), False),
        (distance_transform_edt(np.hypot(ROWS % 66 - 33, COLUMNS % 66 - 33) < 30).astype(np.uint8), True),
        (BLOBS.astype(np.uint8), True),
        ((BLOBS + RNG.normal(0, 2, (200, 200))).astype(np.uint8), True),
        (np.maximum(BLOBS + RNG.normal(0, 2, (200, 200)) - 60, 0).astype(np.uint8), True),  # on black
        ((500 * BLOBS + RNG.normal(0, 500, (200, 200))).astype(np.uint16), True),  # nearly as many values as pixels
        (np.tile(BLOBS + RNG.normal(0, 2, (200, 200)), (12, 12)).astype(np.uint8), True),  # of which windows are seen
        (np.kron(NEAREST, np.ones((12, 12), int)), False),
    ],
)
def test_pictures_are_told_from_labels_of_any_shape(labels, expected):
    assert looks_like_picture(labels) == expected


@pytest.mark.parametrize("name", ["dsb2018", "bbbc039", "usiigaci"])
def test_real_pictures_are_told_from_real_labels(test_data, name):
    for kind, expected in (("masks", False), ("images", True)):
        files = sorted((test_data / name / kind).glob("*.tif"))[::10]
        assert files
        assert {looks_like_picture(ImageFile(file).decode()) for file in files} == {expected}


def test_label_images_of_our_own_are_no_pictures_whatever_they_hold(tmp_path):
    crumbs = np.random.default_rng(0).integers(0, 4000, (64, 64)).astype(np.uint16)
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "a.tif").write_bytes(encode(Content("a", crumbs, [], [], "", None, None, ()))["a.tif"])
    tifffile.imwrite(folder / "b.tif", crumbs)
    report = build(folder, tmp_path / "s.zarr")
    assert (report.new, list(report.failures)) == (1, ["b"])
    assert "looks like a picture" in report.failures["b"]


def test_a_label_image_is_read_once_to_be_built(tmp_path, monkeypatch):
    save(tmp_path / "labels/a.png", LABELS.astype(np.uint8))
    source = open_source(tmp_path / "labels")
    opened = []
    monkeypatch.setattr(
        "cellprep.formats.images.file.open_file", lambda path: opened.append(path.name) or path.open("rb")
    )
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(jobs=1, quiet=True))
    assert (report.new, opened) == (1, ["a.png"])
