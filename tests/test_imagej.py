"""Regions of interest of ImageJ: every kind with an area, and damaged or malicious files."""

import io
import zipfile

import numpy as np
import pytest
from PIL import Image
from roifile import ROI_OPTIONS, ROI_SUBTYPE, ROI_TYPE, ImagejRoi, roiwrite

from cellprep import open_source
from cellprep.errors import AnnotationError, SourceError
from cellprep.formats.imagej.regions import decode_region, read_regions, rings_of

SHAPE = (20, 30)
SQUARE = np.array([(2, 3), (8, 3), (8, 7), (2, 7)])
INSIDE = np.zeros(SHAPE, bool)
INSIDE[3:7, 2:8] = True


def region(kind=ROI_TYPE.POLYGON, points=SQUARE, name="cell", **fields):
    roi = ImagejRoi.frompoints(points, name=name)
    roi.roitype = kind
    for field, value in fields.items():
        setattr(roi, field, value)
    return roi


def box(kind, left=2, top=3, right=8, bottom=7, **fields):
    return ImagejRoi(roitype=kind, left=left, top=top, right=right, bottom=bottom, name="box", **fields)


def composite(*numbers):
    path = np.array(numbers, np.float32)
    return box(ROI_TYPE.RECT, multi_coordinates=path, shape_roi_size=len(path))


@pytest.fixture
def folder(tmp_path):
    Image.fromarray(np.zeros(SHAPE, np.uint8)).save(tmp_path / "a.png")
    return tmp_path


def load(folder):
    (record,) = open_source(folder).images()
    return record.load(SHAPE)


def ellipse(top, left, bottom, right):
    """The pixels whose centres lie within an ellipse, one by one."""
    y, x = np.mgrid[: SHAPE[0], : SHAPE[1]] + 0.5
    across = (x - (left + right) / 2) / ((right - left) / 2)
    return across**2 + ((y - (top + bottom) / 2) / ((bottom - top) / 2)) ** 2 <= 1


HOLED = INSIDE.copy()
HOLED[4:6, 4:6] = False
PATH = (0, 2, 3, 1, 8, 3, 1, 8, 7, 1, 2, 7, 4, 0, 4, 4, 1, 6, 4, 1, 6, 6, 1, 4, 6, 4)
KINDS = {
    "polygon": (region(), INSIDE),
    "freehand": (region(ROI_TYPE.FREEHAND), INSIDE),
    "traced": (region(ROI_TYPE.TRACED), INSIDE),
    "with parts of pixels": (region(points=SQUARE + 0.25), INSIDE),
    "rectangle": (box(ROI_TYPE.RECT), INSIDE),
    "rectangle with parts of pixels": (
        box(ROI_TYPE.RECT, options=ROI_OPTIONS.SUB_PIXEL_RESOLUTION, xd=1.75, yd=2.75, widthd=6, heightd=4),
        INSIDE,
    ),
    "oval": (box(ROI_TYPE.OVAL, 3, 2, 21, 17), ellipse(2, 3, 17, 21)),
    "composite": (composite(*PATH), HOLED),
    "composite with a curve": (composite(0, 2, 3, 2, 5, 3, 8, 3, 1, 8, 7, 3, 7, 7, 3, 7, 2, 7, 4), INSIDE),
    "beyond the image": (region(points=np.array([(-5, 15), (4, 15), (4, 900), (-5, 900)])), None),
}


@pytest.mark.parametrize(("roi", "expected"), KINDS.values(), ids=KINDS.keys())
def test_every_kind_with_an_area(folder, roi, expected):
    roi.tofile(folder / "a.roi")
    found = load(folder).runs.to_masks()[0]
    if expected is None:
        expected = np.zeros(SHAPE, bool)
        expected[15:, :4] = True
    np.testing.assert_array_equal(found, expected)


WITHOUT_AREA = {
    "line": (box(ROI_TYPE.LINE), "region 1, box: it is a line, which has no area"),
    "points": (region(ROI_TYPE.POINT), "it is a set of points, which has no area"),
    "polyline": (region(ROI_TYPE.POLYLINE), "it is a line"),
    "text": (box(ROI_TYPE.RECT, subtype=ROI_SUBTYPE.TEXT), "it is text, not an outline"),
    "spline": (region(options=ROI_OPTIONS.SPLINE_FIT), "a curve that only ImageJ can compute"),
    "round corners": (box(ROI_TYPE.RECT, rounded_rect_arc_size=4), "a curve that only ImageJ can compute"),
}


@pytest.mark.parametrize(("roi", "problem"), WITHOUT_AREA.values(), ids=WITHOUT_AREA.keys())
def test_what_has_no_area_is_named(folder, roi, problem):
    roi.tofile(folder / "a.roi")
    (record,) = open_source(folder).images()
    with pytest.raises(AnnotationError, match=problem):
        record.load(SHAPE)
    assert list(record.faults(SHAPE)) == [1]
    assert not len(record.without([1]).load(SHAPE).runs)


def test_regions_in_several_slices_are_refused(folder):
    roiwrite(folder / "a.zip", [region(name="1", z_position=2), region(name="2", z_position=3)], mode="w")
    with pytest.raises(AnnotationError, match=r"a.zip has regions in several slices of a stack \(2, 3\)"):
        load(folder)
    roiwrite(folder / "a.zip", [region(name="1", z_position=2), region(name="2")], mode="w")
    assert len(load(folder).runs) == 2


def test_thousands_of_regions_keep_their_order_types_and_scores(folder):
    rois = [region(name=f"{k:04}", props=f"Class: kind {k % 3}\nScore: {k / 10_000}\n") for k in range(3000)]
    roiwrite(folder / "a_rois.zip", rois, mode="w")
    found = load(folder)
    assert (len(found.runs), found.rows[-1], found.cell_types[4]) == (3000, 3000, "kind 1")
    assert found.scores[7] == 0.0007


@pytest.mark.parametrize(
    ("names", "ids"),
    [
        (["a.png", "a.zip"], ["a"]),
        (["a.png", "b.png", "a_rois.zip", "b-RoiSet.zip"], ["a", "b"]),
        (["a.png", "b.png", "RoiSet_b.zip"], ["b"]),
        (["a.png", "RoiSet.zip"], ["a"]),
        (["a.png", "0012-0034.roi", "0056-0078.roi"], ["a"]),
        (["a.png", "b.png", "a.roi", "b.roi"], ["a", "b"]),
        (["a_rois.zip", "b.zip"], ["a", "b"]),
        (["one/a.png", "one/a.zip", "two/a.png", "two/a.zip"], ["one_a", "two_a"]),
    ],
    ids=str,
)
def test_names_tell_the_image(tmp_path, names, ids):
    for name in names:
        path = tmp_path / name
        path.parent.mkdir(exist_ok=True)
        if path.suffix == ".png":
            Image.fromarray(np.zeros(SHAPE, np.uint8)).save(path)
        else:
            region().tofile(path)
    source = open_source(tmp_path)
    assert (source.format, source.image_ids) == ("imagej-roi", ids)
    records = list(source.images())
    assert all(record.load(SHAPE).runs.areas.tolist() == [24] * len(record.files) for record in records)
    assert all((record.pixels is not None) == any(name.endswith(".png") for name in names) for record in records)


def test_an_archive_alone_has_its_image_beside_it(folder):
    region().tofile(folder / "a_rois.zip")
    (record,) = open_source(folder / "a_rois.zip").images()
    assert record.pixels.path == folder / "a.png"
    (folder / "a.png").unlink()
    (record,) = open_source(folder / "a_rois.zip").images()
    with pytest.raises(AnnotationError, match="does not have the size of its image: put the image next to it"):
        record.load()
    (folder / "a_rois.zip").rename(folder / "RoiSet.zip")
    with pytest.raises(SourceError, match=r"the image of .*RoiSet.zip is unknown: rename it to <id>_rois.zip"):
        open_source(folder)


def archive(**entries):
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as packed:
        for name, content in entries.items():
            packed.writestr(name, content)
    return file.getvalue()


def claiming(size):
    """An archive whose entry claims another size."""
    content = bytearray(archive(**{"1.roi": region().tobytes()}))
    place = content.index(b"PK\1\2") + 24
    content[place : place + 4] = size.to_bytes(4, "little")
    return bytes(content)


def corners(count):
    """A region that claims so many corners and holds none."""
    content = bytearray(region().tobytes())
    content[16:18] = (0).to_bytes(2, "big")
    content[18:22] = count.to_bytes(4, "big")
    return bytes(content)


HOSTILE = {
    "a bomb": (archive(**{"1.roi": bytes(2**29)}), "claims 536,870,912 bytes"),
    "a claim": (claiming(2**32 - 2), "claims|not the memory|damaged"),
    "cut": (archive(**{"1.roi": region().tobytes()})[:-30], "damaged"),
    "others in it": (
        archive(**{"1.roi": region().tobytes(), "run.sh": b""}),
        "contains 'run.sh' in addition to .roi files",
    ),
    "an entry without a name": (
        archive(**{"1.roi": region().tobytes(), "run.sh": b""}).replace(b"run.sh", b"\0un.sh"),
        "contains '' in addition to .roi files",
    ),
    "no region": (archive(**{"1.roi": b"Iout" + bytes(10)}), "region 1: it is damaged"),
    "corners": (archive(**{"1.roi": corners(2**31 - 1)}), "region 1: it is damaged"),
    "negative corners": (archive(**{"1.roi": corners(2**31)}), "region 1: it is damaged"),
    "a path that ends": (archive(**{"1.roi": composite(0, 1).tobytes()}), "region 1, box: it is damaged"),
    "a path of nothing": (archive(**{"1.roi": composite(2, 1, 1, 2, 2).tobytes()}), "region 1, box: it is damaged"),
    "an unknown command": (archive(**{"1.roi": composite(9, 1, 1).tobytes()}), "region 1, box: it is damaged"),
    "not a number": (archive(**{"1.roi": composite(0, 1, 1, 1, np.nan, 5, 1, 9, 9).tobytes()}), "not finite"),
}


@pytest.mark.parametrize(("content", "problem"), HOSTILE.values(), ids=HOSTILE.keys())
def test_harm_ends_in_one_line(folder, content, problem):
    (folder / "a.zip").write_bytes(content)
    (record,) = open_source(folder, "imagej-roi").images()
    with pytest.raises(AnnotationError, match=problem):
        record.load(SHAPE)


def test_names_in_archives_lead_nowhere(folder):
    (folder / "data").mkdir()
    (folder / "a.png").rename(folder / "data" / "a.png")
    content = archive(**{"../../out.roi": region().tobytes(), "/abs/out.roi": region().tobytes()})
    (folder / "data" / "a.zip").write_bytes(content)
    before = sorted(folder.rglob("*"))
    assert load(folder / "data").runs.areas.tolist() == [24, 24]
    assert sorted(folder.rglob("*")) == before


def test_every_cut_of_a_region_is_read_or_refused():
    content = composite(*PATH).tobytes() + region().tobytes()
    whole = region(props="Class: a\n").tobytes()
    for length in range(len(whole)):
        for bytes_ in (whole[:length], content[:length], whole[:length] + b"\xff" * (len(whole) - length)):
            try:
                rings_of(decode_region(bytes_))
            except AnnotationError:
                continue


def test_a_folder_of_masks_stays_one(folder):
    Image.fromarray(np.ones(SHAPE, np.uint8)).save(folder / "a_masks.png")
    region().tofile(folder / "a.zip")
    assert open_source(folder).format == "label-folder"


def test_archives_of_nothing_but_regions_are_recognised(folder):
    (folder / "a.zip").write_bytes(archive(**{"notes.txt": b"", "1.roi": region().tobytes()}))
    with pytest.raises(SourceError, match="this is a ZIP archive with ImageJ ROIs and other files"):
        open_source(folder / "a.zip")
    assert len(read_regions_of(folder, {"__MACOSX/._1.roi": b"", "1.roi": region().tobytes()})) == 1


def read_regions_of(folder, entries):
    (folder / "b.zip").write_bytes(archive(**entries))
    return read_regions(folder / "b.zip")
