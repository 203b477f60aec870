"""Cellpose's _seg.npy: read without running anything, and written as its program writes it."""

import io
import os
import pickle
import struct

import cv2
import numpy as np
import pytest
from conftest import masks
from hypothesis import given
from PIL import Image
from scipy import ndimage
from test_export import content, labels_of

from cellprep import open_source
from cellprep.errors import AnnotationError
from cellprep.formats.cellpose.outlines import read_outlines
from cellprep.formats.cellpose.unpickling import as_array, read_seg
from cellprep.formats.cellpose.writer import encode

MASKS = np.array([[0, 1, 1, 0], [2, 2, 1, 0], [0, 0, 0, 7]], np.uint16)


def saved(document):
    file = io.BytesIO()
    np.save(file, document)
    return file.getvalue()


def as_cellpose_saves(dtype=np.uint16, order="C", **changes):
    """Return the content that `cellpose.io.masks_flows_to_seg` and the program write to a file."""
    document = {
        "outlines": MASKS,
        "masks": np.asarray(MASKS, dtype, order=order),
        "chan_choose": [0, 0],
        "ismanual": np.zeros(3, bool),
        "filename": "a.tif",
        "flows": [np.zeros((1, 3, 4, 3), np.uint8), [], np.zeros((3, 3, 4), np.float32)],
        "diameter": np.nan,
        "normalize_params": {"lowhigh": None, "percentile": [1.0, np.float64(99.0)], "norm3D": True},
        "zdraw": [None, None],
        "est_diam": np.float32(12),
    }
    return saved({**document, **changes})


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32, np.int32, np.int64, ">u2", np.float32])
@pytest.mark.parametrize("order", ["C", "F"])
def test_masks_are_read(tmp_path, dtype, order):
    (tmp_path / "a_seg.npy").write_bytes(as_cellpose_saves(dtype, order))
    (record,) = open_source(tmp_path).images()
    found = record.load()
    assert found.rows == (1, 2, 7)
    np.testing.assert_array_equal(found.runs.paint(np.array(found.rows)), MASKS)


def test_an_old_background_of_minus_one(tmp_path):
    (tmp_path / "a_seg.npy").write_bytes(as_cellpose_saves(masks=MASKS.astype(np.int32) - 1))
    assert next(open_source(tmp_path / "a_seg.npy").images()).load().rows == (1, 2, 7)


def test_images_lie_beside(tmp_path):
    for name in ("x/a", "y/a", "y/b"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / f"{name}.png")
        if name != "y/b":
            (tmp_path / f"{name}_seg.npy").write_bytes(as_cellpose_saves())
    source = open_source(tmp_path)
    assert (source.format, source.image_ids, source.unannotated) == ("cellpose-seg", ["x_a", "y_a"], ["y/b.png"])
    assert [record.pixels.path.parent.name for record in source.images()] == ["x", "y"]


class Calls:
    """An object that calls a function when it is unpickled."""

    def __init__(self, function, *arguments):
        self.called = (function, arguments)

    def __reduce__(self):
        return self.called


def npy(pickled):
    """A file of NumPy's that holds a pickle."""
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": "|O", "fortran_order": False, "shape": ()})
    return file.getvalue() + pickled


def reconstructed(found, shape=()):
    """The pickle of an array of Python objects whose one object is made by other commands."""
    begin = b"\x80\x04cnumpy._core.multiarray\n_reconstruct\n(cnumpy\nndarray\n(K\x00tC\x01btR"
    return npy(begin + b"(K\x01)cnumpy\ndtype\n(X\x01\0\0\0O\x89\x88tR\x89](" + found + b"etb.")


HOSTILE = {
    "a command": saved({"masks": Calls(os.system, "touch harm")}),
    "eval": saved({"masks": Calls(eval, "open('harm', 'w')")}),
    "deep inside": saved({"masks": MASKS, "flows": [[{"x": (Calls(open, "harm", "w"),)}]]}),
    "a function of NumPy": saved({"masks": Calls(np.load, "harm")}),
    "a class of NumPy": saved({"masks": Calls(np.memmap, "harm", "uint8", "w+", 0, (9,))}),
    "a builtin": saved({"masks": Calls(bytearray, 1 << 40)}),
    "getattr": npy(b"\x80\x04cbuiltins\ngetattr\n(cos\nsystem\ntR."),
    "a submodule of the names": npy(b"\x80\x04cnumpy.core.multiarray\n_reconstruct.__globals__\n."),
    "a name with dots": npy(b"\x80\x04\x8c\x05numpy\x8c\x0dndarray.dumps\x93."),
    "a persistent id": npy(b"\x80\x04Pharm\n."),
    "an extension": npy(b"\x80\x04\x82\x01."),
    "a memo of all memory": npy(b"\x80\x04Nr\xff\xff\xff\xff."),
    "bytes of all memory": npy(b"\x80\x05\x96" + struct.pack("<Q", 1 << 45) + b"."),
    "a frame of all memory": npy(b"\x80\x04\x95" + struct.pack("<Q", 1 << 45) + b"."),
    "attributes of a class": npy(b"\x80\x04cnumpy\nndarray\nN}X\x01\0\0\0xK\x01s\x86b."),
    "a call of a text": npy(b"\x80\x04X\x01\0\0\0x)R."),
    "an empty stack": npy(b"\x80\x04."),
    "nothing": npy(b""),
    "no dictionary": saved([MASKS]),
    "a numeric array": saved(MASKS),
    "text": b"masks",
}


@pytest.mark.parametrize("document", HOSTILE.values(), ids=HOSTILE.keys())
def test_nothing_that_a_pickle_names_is_run(tmp_path, monkeypatch, document):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(AnnotationError, match=r"which may run code|it is damaged, or not a _seg.npy") as caught:
        read_seg(document)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_a_name_that_is_refused_is_told(tmp_path):
    (tmp_path / "a_seg.npy").write_bytes(HOSTILE["a command"])
    (record,) = open_source(tmp_path).images()
    with pytest.raises(AnnotationError, match=r"a_seg.npy: .* it refers to '(posix|nt).system', which may run code"):
        record.load()


ARRAYS = {
    "too few bytes": b"cnumpy\nndarray\n)\x81(K\x01K\x04K\x04\x86cnumpy\ndtype\nX\x02\0\0\0u2\x85RC\x02abtb",
    "a number": b"K\x01",
    "a text": b"X\x01\0\0\0x",
}


@pytest.mark.parametrize("value", ARRAYS.values(), ids=ARRAYS.keys())
def test_masks_that_are_none_are_refused(value):
    document = reconstructed(b"}X\x05\0\0\0masks" + value + b"s")
    with pytest.raises(AnnotationError, match="its masks are not a numeric array"):
        as_array(read_seg(document)["masks"])


@pytest.mark.parametrize(
    "masks_", [np.array([None, 1]), np.array(["a"]), np.zeros(2, "M8[s]"), np.zeros(2, "f2,f4"), [1, 2]], ids=repr
)
def test_arrays_of_others_than_numbers_are_refused(masks_):
    with pytest.raises(AnnotationError, match="its masks are not a numeric array"):
        as_array(read_seg(saved({"masks": masks_}))["masks"])


def test_every_cut_and_every_changed_byte_is_read_or_refused():
    document = as_cellpose_saves(flows=[])
    for place in range(128, len(document)):
        for changed in (document[:place], document[:place] + b"\xff" + document[place + 1 :]):
            try:
                as_array(read_seg(changed).get("masks"))
            except AnnotationError:
                continue


@pytest.mark.parametrize(
    ("document", "problem"),
    [
        (saved({"filename": "a.tif"}), "it has no masks"),
        (saved({"masks": np.zeros((2, 3, 4), np.uint16)}), "contains a stack of 2 planes, 3 x 4"),
        (saved({"masks": np.full((3, 4), 0.5)}), "has the float64 value 0.5"),
    ],
    ids=["none", "stack", "fractions"],
)
def test_masks_that_are_no_labels_are_told(tmp_path, document, problem):
    (tmp_path / "a_seg.npy").write_bytes(document)
    with pytest.raises(AnnotationError, match=f"a_seg.npy.*{problem}"):
        next(open_source(tmp_path).images()).load()


def outlines_of(labels):
    """As `cellpose.utils.masks_to_outlines` makes them."""
    outlines = np.zeros(labels.shape, bool)
    for label in np.unique(labels[labels > 0]):
        contours = cv2.findContours((labels == label).astype(np.uint8), cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0]
        x, y = np.concatenate(contours)[:, 0].T
        outlines[y, x] = True
    return outlines


@given(masks())
def test_what_is_written_is_as_cellpose_writes_it(stack):
    labels = labels_of(stack)
    (name, written), *others = encode(content(labels)).items()
    assert (name, others) == ("x_seg.npy", [])
    found = np.load(io.BytesIO(written), allow_pickle=True).item()
    expected = np.unique([0, *labels.ravel()], return_inverse=True)[1][1:].reshape(labels.shape)
    np.testing.assert_array_equal(found["masks"], expected)
    np.testing.assert_array_equal(found["outlines"], expected * outlines_of(labels))
    assert found["masks"].dtype == found["outlines"].dtype == np.uint16
    assert (len(found["ismanual"]), found["flows"], np.isnan(found["diameter"])) == (expected.max(), [], True)
    np.testing.assert_array_equal(as_array(read_seg(written)["masks"]), expected)


@given(masks())
def test_outlines_in_text_are_filled_as_they_were_made(stack):
    """As `cellpose.utils.outlines_list` makes them of cells of one piece."""
    cells = [cell for cell in stack.astype(np.uint8) if cell.any() and cv2.connectedComponents(cell)[0] == 2]
    contours = [cv2.findContours(cell, cv2.RETR_EXTERNAL, cv2.CHAIN_APPROX_NONE)[0][0] for cell in cells]
    text = "".join(",".join(map(str, contour.ravel())) + "\n" for contour in contours)
    found = read_outlines(text.encode(), stack.shape[1:]).to_masks()
    for mask, cell in zip(found, cells, strict=True):
        np.testing.assert_array_equal(mask, ndimage.binary_fill_holes(cell))


def test_outlines_count_where_there_are_no_masks(tmp_path):
    (tmp_path / "a_cp_outlines.txt").write_text("1,0,2,0,2,1,1,1\n")
    (tmp_path / "b_cp_outlines.txt").write_text("1,0,2,0,2,1,1,1\n0,2,1,2\n")
    (tmp_path / "a_seg.npy").write_bytes(as_cellpose_saves())
    Image.fromarray(np.zeros((3, 4), np.uint8)).save(tmp_path / "b.png")
    first, second = open_source(tmp_path).images()
    assert (first.load().rows, second.load((3, 4)).runs.areas.tolist()) == ((1, 2, 7), [4, 2])
    assert second.without([1]).load((3, 4)).rows == (2,)
    assert open_source(tmp_path / "b_cp_outlines.txt").image_ids == ["b"]
    with pytest.raises(AnnotationError, match="does not have the size of its image"):
        second.load()
    for text, problem in (
        ("1,1,2,2,3,1\n1,2,x,y", "line 2: it is not an outline"),
        ("1,1,2,2,3", "line 1: it has 5 numbers"),
        ("1,1,4,2,3,1", "line 1: it reaches x 4, y 2, outside its image, 4 x 3"),
    ):
        (tmp_path / "b_cp_outlines.txt").write_text(text)
        with pytest.raises(AnnotationError, match=problem):
            second.load((3, 4))


def test_pickles_of_other_versions_are_read():
    for protocol in (2, 3, 4):
        pickled = pickle.dumps(np.array({"masks": MASKS}, object), protocol)
        if protocol == 2:  # whose bytes are texts that a function would have to encode
            with pytest.raises(AnnotationError, match=r"_codecs\.encode"):
                read_seg(npy(pickled))
        else:
            np.testing.assert_array_equal(as_array(read_seg(npy(pickled))["masks"]), MASKS)
