import pickle

import pytest

from cellprep import open_source
from cellprep.errors import AnnotationError, SourceError, UsageError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.kaggle_csv.reader import CSVImage

GOOD = "good,1 2,5,4,round"


def read(path):
    return {image.image_id: image for image in open_source(path).images()}


def problem(image):
    """Return the problem of an image: known to the reader, or found when its masks are parsed."""
    if isinstance(image, FaultyImage):
        return image.problem
    with pytest.raises(AnnotationError) as caught:
        image.load()
    return str(caught.value)


def test_reads_an_image(write_csv):
    path = write_csv("007,1 2,5,4,round", "0e12,1 1,6,3,", "007,9 1 3 2,5,4,spindle", "007,20 1,5,4,spindle")
    images = read(path)
    assert list(images) == ["0e12", "007"]  # ids stay text; an image comes when its last row was seen
    image = images["007"]
    assert image == CSVImage(
        image_id="007",
        shape=(4, 5),
        masks=("1 2", "9 1 3 2", "20 1"),
        order="row",
        rows=(2, 4, 5),
        cell_types=("round", "spindle", "spindle"),
        cell_type="spindle",
        source="train.csv",
    )
    assert len(pickle.dumps(image)) < 500
    assert open_source(path).image_ids == ["007", "0e12"]


def test_an_image_is_of_the_type_of_most_annotations_that_have_one(write_csv):
    image = read(write_csv("a,1 2,5,4,", "a,1 2,5,4,", "a,1 2,5,4,round"))["a"]
    assert (image.cell_types, image.cell_type) == (("", "", "round"), "round")


def test_order_is_the_users_choice(write_csv):
    image = next(iter(open_source(write_csv(GOOD), rle_order="column").images()))
    assert image.load().runs.order == "column"


def test_cell_type_is_optional_and_columns_come_in_any_order(write_csv):
    path = write_csv("4,1 2,x,extra,5", header="height,annotation,id,note,width")
    image = read(path)["x"]
    assert (image.shape, image.cell_types, image.cell_type) == ((4, 5), ("",), "")


def test_a_byte_order_mark_and_blank_lines_do_no_harm(tmp_path):
    path = tmp_path / "a.csv"
    path.write_bytes(b"\xef\xbb\xbfid,annotation,width,height\r\n\r\na,1 2,5,4\r\n")
    assert read(path)["a"].rows == (3,)


def test_a_single_empty_annotation_is_an_image_without_cells(write_csv):
    image = read(write_csv("none,,5,4,round"))["none"]
    assert (image.masks, image.rows, image.cell_type) == ((), (), "round")
    assert len(image.load().runs) == 0


@pytest.mark.parametrize("change", ["1 3,5,4,round", "1 2,6,4,round", "1 2,5,5,round", "1 2,5,4,spindle"])
def test_fingerprint_covers_every_field(write_csv, change):
    before = read(write_csv("a,1 2,5,4,round"))["a"].fingerprint()
    assert read(write_csv("a,1 2,5,4,round"))["a"].fingerprint() == before
    assert read(write_csv(f"a,{change}"))["a"].fingerprint() != before
    assert read(write_csv("b,1 2,5,4,round", "a,1 2,5,4,round"))["a"].fingerprint() != before  # its row moved


# Rows (the first is row 2 of the file) that make their image fail, and what is said.
FAULTY_ROWS = {
    "rle": (["bad,1 2 3,5,4,x"], "train.csv row 2: it has an odd number of values (3)"),
    "rle of a later row": (["bad,1 2,5,4,x", "bad,0 2,5,4,x"], "train.csv row 3: start 0 of the run '0 2'"),
    "empty beside others": (["bad,1 2,5,4,x", "bad,,5,4,x"], "train.csv row 3: the annotation is empty, but there are"),
    "two empty": (["bad,,5,4,x", "bad, ,5,4,x"], "train.csv row 2: the annotation is empty, but there are others"),
    "width": (["bad,1 2,5.5,4,x"], "train.csv row 2: width '5.5' is not a whole number of pixels above 0"),
    "-1 beside others": (
        ["bad,1 2,5,4,x", "bad,-1,5,4,x"],
        "train.csv row 3: the annotation is empty, but there are others",
    ),
    "no height": (["bad,1 2,5,,x"], "train.csv row 2: height '' is not a whole number"),
    "zero": (["bad,1 2,0,4,x"], "train.csv row 2: width '0' is not"),
    "negative": (["bad,1 2,5,-4,x"], "train.csv row 2: height '-4' is not"),
    "endless": (["bad,1 2,5,9999999999,x"], "train.csv row 2: height '9999999999' is not"),
    "contradiction": (["bad,1 2,5,4,x", "bad,1 2,5,6,x"], "train.csv row 3: height 6 contradicts 4 in row 2"),
    "too few fields": (["bad,1 2,5,4"], "train.csv row 2: it has 4 fields, but the header has 5"),
    "hardly any fields": (["bad"], "train.csv row 2: it has 1 fields, but the header has 5"),
    "too many fields": (["bad,1 2,5,4,x,y"], "train.csv row 2: it has 6 fields, but the header has 5"),
}


@pytest.mark.parametrize(("rows", "message"), FAULTY_ROWS.values(), ids=FAULTY_ROWS.keys())
def test_a_faulty_row_fails_its_image_only(write_csv, rows, message):
    images = read(write_csv(*rows, GOOD))
    assert problem(images["bad"]).startswith(message)
    assert images["good"].load().runs.areas.tolist() == [2]


@pytest.mark.parametrize(
    ("image_id", "message"),
    [
        ("", "the image id is empty"),
        (".", "it begins with a dot"),
        ("...", "it begins with a dot"),
        (".hidden", "it begins with a dot"),
        ("../train", "it begins with a dot"),
        ("a/b", "it contains a slash or backslash"),
        ("a\\b", "it contains a slash or backslash"),
        ("a\tb", "it contains a control character"),
        ("\x1b[31m", "it contains a control character"),
        ("zarr.json", "that file name is reserved for the store"),
        ("__meta", "it begins with two underscores"),
        ("x" * 201, "it is longer than 200 bytes"),
        ("é" * 101, "it is longer than 200 bytes"),
    ],
)
def test_refused_ids(write_csv, image_id, message):
    images = read(write_csv(f"{image_id},1 2,5,4,x", GOOD))
    assert problem(images[image_id]).startswith("train.csv row 2: ")
    assert message in problem(images[image_id])
    assert isinstance(images["good"], ImageRecord)


@pytest.mark.parametrize("image_id", ["x" * 200, "a b", "a.b", "_a", "é", "a'b", "-x"])
def test_legal_ids(write_csv, image_id):
    assert isinstance(read(write_csv(f"{image_id},1 2,5,4,x"))[image_id], ImageRecord)


FAULTY_SOURCES = {
    "no width": (
        b"id,annotation,height\na,1 2,4\n",
        r"row 1: column width is missing.*found: 'id', 'annotation', 'height'",
    ),
    "other names": (
        b"file;mask;width;height\n",
        r"row 1: column id, annotation is missing: .* \(or ImageId, EncodedPixels, predicted, rle\).*'file', 'mask'",
    ),
    "two ids": (
        b"id,image_id,annotation\n",
        "row 1: id: columns id and image_id have the same meaning: rename or delete one",
    ),
    "empty file": (b"", "row 1: column .* is missing.*found: none"),
    "column twice": (b"id,id,annotation,width,height\n", "row 1: id: column id occurs twice"),
    "no rows": (b"id,annotation,width,height\n", "has no annotations: there are no rows below the header"),
    "not text": (b"id,annotation,width,height\na,1 2,5,4\n\xff\xfe,1,2,3\n", "the text is not UTF-8"),
    "open quote": (
        b'id,annotation,width,height\na,"1 2,5,4\n',
        r'after row 1: a quote \("\) is opened and never closed',
    ),
}


@pytest.mark.parametrize(("content", "message"), FAULTY_SOURCES.values(), ids=FAULTY_SOURCES.keys())
def test_faulty_sources(tmp_path, content, message):
    path = tmp_path / "train.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message) as caught:
        open_source(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_sources_that_are_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read the annotation source .*: No such file"):
        open_source(tmp_path / "train.csv")
    (tmp_path / "train.txt").write_text("")
    with pytest.raises(
        SourceError, match=r"train\.txt has an unknown format: it is empty \(formats that can be read: kaggle-csv"
    ):
        open_source(tmp_path / "train.txt")
    with pytest.raises(SourceError, match="is not a regular file"):
        open_source(tmp_path, "kaggle-csv")
    with pytest.raises(UsageError, match="RLE order 'col' is unknown: it is 'row' or 'column'"):
        open_source(tmp_path / "train.txt", rle_order="col")
    with pytest.raises(UsageError, match="format 'yaml' is unknown: use one of auto, kaggle-csv"):
        open_source(tmp_path / "train.txt", "yaml")


def test_a_large_file_that_changes_underneath(write_csv, monkeypatch):
    monkeypatch.setattr("cellprep.formats.tables._MOST_HELD", 0)
    source = open_source(write_csv(GOOD, GOOD))
    write_csv(GOOD)
    with pytest.raises(SourceError, match="was changed while it was read"):
        list(source.images())


def test_values_of_a_column(write_csv):
    header = "id,annotation,width,height, plate ,cell_type"
    path = write_csv("a,1 2,5,4, P1 ,x", "b,1 2,5,4,,x", "", "a,5 1,5,4,P1,x", "c,1 2,5", "b,5 1,5", header=header)
    assert open_source(path).values("plate") == {"a": "P1", "b": ""}  # rows that lack fields do not count


def test_rows_must_agree_on_a_column(write_csv):
    path = write_csv("a,1 2,5,4,P1", "b,1 2,5,4,P1", "a,5 1,5,4,P2", header="id,annotation,width,height,plate")
    message = "train.csv row 4: plate 'P2' contradicts 'P1' in row 2: all rows of image 'a' must have the same value"
    with pytest.raises(SourceError, match=message):
        open_source(path).values("plate")


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("id,annotation,width,height,site", "no column 'plate' to group images by; it has: 'site'"),
        ("id,annotation,width,height,cell_type", "no column 'plate' to group images by; it has: none"),
        ("id,annotation,width,height,plate,plate", "has the column 'plate' twice"),
    ],
)
def test_columns_that_are_not_there(write_csv, header, message):
    path = write_csv("a,1 2,5,4,x", header=header)
    with pytest.raises(UsageError, match=message):
        open_source(path).values("plate")
