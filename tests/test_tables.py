"""Tables in other files than CSV, and with other columns than Kaggle's: the same annotations, or a message."""

import gzip
import io
import sys
import zipfile
from hashlib import sha256

import numpy as np
import pytest
from PIL import Image

from cellprep import BuildOptions, build_targets, check_source, open_source
from cellprep.commands.check import CheckOptions
from cellprep.errors import MissingExtraError, SourceError
from cellprep.formats.annotations.exclusions import read_exclusions

HEADER = ["id", "annotation", "width", "height", "cell_type"]
ROWS = [["a", "1 2 7 1", 5, 4, "round"], ["a", "9 1", 5, 4, ""], ["007", None, 5, 4, "x"]]


def as_csv(header=HEADER, rows=ROWS, separator=","):
    lines = [header, *(["" if value is None else value for value in row] for row in rows)]
    return "".join(separator.join(map(str, line)) + "\r\n" for line in lines)


def zipped(**files):
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as archive:
        for name, text in files.items():
            archive.writestr(name.replace("_dot_", "."), text)
    return content.getvalue()


def as_parquet(header=HEADER, rows=ROWS):
    pyarrow = pytest.importorskip("pyarrow")
    from pyarrow import parquet

    content = io.BytesIO()
    columns = {name: [row[place] for row in rows] for place, name in enumerate(header)}
    parquet.write_table(pyarrow.table(columns), content)
    return content.getvalue()


def as_xlsx(*sheets):
    openpyxl = pytest.importorskip("openpyxl")
    book = openpyxl.Workbook()
    book.remove(book.active)
    for number, rows in enumerate(sheets):
        sheet = book.create_sheet(f"sheet {number}")
        for row in rows:
            sheet.append(row)
    content = io.BytesIO()
    book.save(content)
    return content.getvalue()


FILES = {
    "t.csv": as_csv,
    "t.tsv": lambda: as_csv(separator="\t"),
    "t.txt": lambda: as_csv(separator="\t"),
    "tabs.csv": lambda: as_csv(separator="\t"),
    "semicolons.csv": lambda: as_csv(separator=";"),
    "bars.csv": lambda: as_csv(separator="|"),
    "utf16.csv": lambda: as_csv(separator="\t").encode("utf-16"),
    "capitals.csv": lambda: as_csv(["ID", "Annotation", "Width", "Height", "Cell Type"]),
    "t.csv.gz": lambda: gzip.compress(as_csv().encode()),
    "t.tsv.gz": lambda: gzip.compress(as_csv(separator="\t").encode()),
    "secretly gzip.csv": lambda: gzip.compress(as_csv().encode()),
    "t.csv.zip": lambda: zipped(t_dot_csv=as_csv(), __MACOSX_dot_csv="x").replace(b"__MACOSX.csv", b"__MACOSX/csv"),
    "t.zip": lambda: zipped(t_dot_csv=as_csv()),
    "t.parquet": as_parquet,
    "floats.parquet": lambda: as_parquet(rows=[[*row[:2], 5.0, 4.0, row[4]] for row in ROWS]),
    "t.xlsx": lambda: as_xlsx([HEADER, *ROWS], []),
    "floats.xlsx": lambda: as_xlsx([HEADER, *([*row[:2], 5.0, "4.0", row[4]] for row in ROWS)]),
}


@pytest.fixture
def opened(tmp_path):
    def opened(name, content, **options):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
        return open_source(tmp_path / name, **options)

    return opened


@pytest.mark.parametrize("name", FILES)
def test_every_file_gives_the_same_annotations(opened, name):
    content = FILES[name]()
    source = opened(name, content)
    assert source.sha256 == sha256(content.encode() if isinstance(content, str) else content).hexdigest()
    assert (source.format, source.order, source.image_ids) == ("kaggle-csv", "row", ["a", "007"])
    a, other = source.images()
    assert (a.shape, a.masks, a.rows, a.cell_types) == ((4, 5), ("1 2 7 1", "9 1"), (2, 3), ("round", ""))
    assert (other.masks, other.cell_type) == ((), "x")


# Columns of known tables: the header, a row of one cell in rows 0 and 1 of column 1, and the order they count in.
COLUMNS = {
    "Bowl's solution": ("ImageId,EncodedPixels,Height,Width,Usage", "a,5 2,4,5,Public", "column"),
    "HuBMAP": ("id,organ,data_source,img_height,img_width,pixel_size,rle,age", "a,lung,x,4,5,0.4,5 2,60", "column"),
    "rle_mask": ("image_id,rle_mask,image_width,image_height", "a,5 2,5,4", "column"),
    "encoded_pixels": ("Image_ID,encoded_pixels,width,height", "a,5 2,5,4", "column"),
    "proper names first": ("id,rle,annotation,img_width,width,height", "a,x,2 1 7 1,9,5,4", "row"),
    "float sizes": ("id,annotation,width,height", "a,2 1 7 1,5.0,4.00", "row"),
    "decimal commas": ("id;annotation;width;height", 'a;2 1 7 1;"5,0";4,', "row"),
}


@pytest.mark.parametrize(("header", "row", "order"), COLUMNS.values(), ids=COLUMNS.keys())
def test_columns_of_known_tables(opened, header, row, order):
    source = opened("t.csv", f"{header}\n{row}\n")
    assert source.order == order
    (image,) = source.images()
    expected = np.zeros((1, 4, 5), bool)
    expected[0, :2, 1] = True
    np.testing.assert_array_equal(image.load().runs.to_masks(), expected)


@pytest.mark.parametrize("nothing", ["-1", " -1", "NaN", "None", " "])
def test_what_is_written_for_no_cells(opened, nothing):
    (image,) = opened("t.csv", f"id,annotation,width,height\na,{nothing},5,4\n").images()
    assert image.load().rows == ()


@pytest.mark.parametrize("name", ["flags.csv", "flags.tsv"])
def test_flags_that_a_spreadsheet_saved(tmp_path, name):
    (tmp_path / name).write_text("image;row;rule\nzu\u0308g;17,0;edge\nb;;hidden\n".replace(",0", ".0"))
    found = read_exclusions(tmp_path / name)
    assert (found.rows, found.images) == ({"z\u00fcg": {17}}, {"b"})


def test_ids_with_accents_in_both_forms_are_one_image(opened):
    source = opened("t.csv", "id,annotation,width,height\nz\u00fcg,1 2,5,4\nzu\u0308g,9 1,5,4\n")
    assert source.image_ids == ["z\u00fcg"]
    assert next(source.images()).rows == (2, 3)


LONG = " ".join(f"{k} 1" for k in range(1, 20_000, 2))[:32_767]

# Names of files, their content, and what is said of them.
FAULTS = {
    "cut gzip": ("t.csv.gz", lambda: gzip.compress(as_csv().encode())[:-9], "is damaged, or not a gzip file: copy it"),
    "no gzip": ("t.csv.gz", lambda: b"\x1f\x8bxx", "is damaged, or not a gzip file"),
    "two files": (
        "t.zip",
        lambda: zipped(a_dot_csv="x", b_dot_csv="x"),
        "'a.csv', 'b.csv': unpack it and give its content",
    ),
    "no CSV": (
        "t.csv",
        lambda: zipped(a_dot_txt="x"),
        "contains more than one file, or no CSV: unpack it and give the CSV",
    ),
    "no Parquet": (
        "t.parquet",
        lambda: b"PAR1",
        "is damaged, or not a Parquet file: copy it again, or save the table",
    ),
    "no Excel": ("t.xlsx", lambda: b"PK\x03\x04", "is damaged, or not a Excel table: copy it again"),
    "two sheets": (
        "t.xlsx",
        lambda: as_xlsx([HEADER], [["x"]]),
        "has several sheets, 'sheet 0', 'sheet 1': keep only the one with the annotations",
    ),
    "empty Excel": ("t.xlsx", lambda: as_xlsx([]), "row 1: column id, annotation is missing"),
    "columns of Parquet": ("t.parquet", lambda: as_parquet(["id"], [["a"]]), "row 1: column annotation is missing"),
    "old Excel": ("t.xls", lambda: b"\xd0\xcf\x11\xe0....", "has an unknown format: this is an old Excel"),
    "quote within": (
        "t.csv",
        lambda: 'id,annotation\na,"1 2"x\n',
        r'after row 1: a quote \("\) ends in the middle of a',
    ),
}


@pytest.mark.parametrize(("name", "content", "message"), FAULTS.values(), ids=FAULTS.keys())
def test_faulty_tables(opened, name, content, message):
    with pytest.raises(SourceError, match=message) as caught:
        opened(name, content())
    assert "\n" not in str(caught.value)


def test_annotations_that_excel_cut_off(opened):
    images = opened("t.xlsx", as_xlsx([HEADER, ["a", LONG, 500, 500, "x"], ["b", "1 2", 5, 4, "x"]]))
    a, b = images.images()
    assert a.problem == "t.xlsx row 2: Excel truncated the annotation to 32,767 characters: use a CSV"
    assert b.load().rows == (3,)


@pytest.mark.parametrize(("name", "library"), [("t.parquet", "pyarrow"), ("t.xlsx", "openpyxl")])
def test_a_library_that_is_missing(opened, monkeypatch, name, library):
    content = FILES[name]()
    monkeypatch.setitem(sys.modules, library, None)
    with pytest.raises(MissingExtraError, match=rf"needs {library}: pip install 'cellprep\[tables\]'"):
        opened(name, content)


def test_swapped_sizes_are_told_where_images_are(opened, tmp_path):
    (tmp_path / "images").mkdir()
    Image.fromarray(np.zeros((4, 5), np.uint8)).save(tmp_path / "images" / "a.png")
    source = opened("t.csv", "id,annotation,width,height\na,1 2,4,5\n")
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(images=tmp_path / "images", jobs=1, quiet=True))
    assert report.failures["a"].endswith("its annotations are 5 x 4; height and width are swapped")


def test_many_problems_of_one_kind_are_counted_and_others_shown(opened, tmp_path):
    (tmp_path / "images").mkdir()
    rows = [f"im{k:03},1 2,5,4" for k in range(236)]
    source = opened("t.csv", "\n".join(["id,annotation,width,height", *rows, "odd,1 2,x,4"]))
    report = build_targets(source, tmp_path / "s.zarr", BuildOptions(images=tmp_path / "images", jobs=1, quiet=True))
    lines = report.errors()
    assert len(lines) == 13
    assert lines[10].startswith("  im009: there is no image file im009.* in ")
    assert lines[11].startswith("  and 226 more problems of this kind; for all of them, run `cellprep check ")
    assert lines[12] == "  odd: t.csv row 238: width 'x' is not a whole number of pixels above 0"
    checked = check_source(source, CheckOptions(images=tmp_path / "images", jobs=1, quiet=True))
    assert len({finding.image_id for finding in checked.flagged}) == 237
