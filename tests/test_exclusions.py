"""Excluded annotations and images leave no trace except in their record."""

import json

import numpy as np
import pytest
from conftest import tree
from hypothesis import given
from hypothesis import strategies as st

from cellprep import BuildOptions, build_targets, open_source, open_store
from cellprep.errors import AnnotationError, CellprepError, SourceError, UsageError
from cellprep.formats.annotations.exclusions import read_exclusions

ROWS = [
    "a,1 3 7 3,6,5,round",
    "a,2 2 8 2,6,5,spindle",
    "a,14 2 20 2,6,5,spindle",
    "b,1 30,6,5,round",
    "b,13 6,6,5,round",
    "c,,4,3,round",
]


def build(source, out, flags=None, **options):
    options = {"jobs": 1, "quiet": True, "exclude": flags, **options}
    return build_targets(source if hasattr(source, "images") else open_source(source), out, BuildOptions(**options))


@pytest.fixture
def flags(tmp_path):
    def write(*lines, header="image,row"):
        path = tmp_path / "flags.csv"
        path.write_text("\n".join([header, *lines]) + "\n")
        return path

    return write


@pytest.fixture
def out(tmp_path):
    return tmp_path / "data.zarr"


def test_reads_rows_and_images(flags):
    path = flags("7,a,17,x", "7,a,20,y", "7,b,,", "7,b,3,", "", "7,c,-5,", header="note,image,row,rule")
    found = read_exclusions(path)
    assert found.rows == {"a": frozenset({17, 20}), "c": frozenset({-5})}
    assert found.images == frozenset({"b"})
    assert found.named == frozenset("abc")
    assert found.name == "flags.csv"


def test_rows_may_have_been_through_a_table_of_floats(flags):
    assert read_exclusions(flags("a,17.0")).rows == {"a": frozenset({17})}


FAULTY_FLAGS = {
    "no column": (
        b"image,rows\na,1\n",
        r"flags\.csv: the columns image and row are required, as written by cellprep check",
    ),
    "empty": (b"", "flags.csv: the columns image and row"),
    "word": (b"image,row\n\na,1\na,first\n", "row 4: row 'first' is not a whole number"),
    "nobody": (b"image,row\na,1\n,2\n", r"flags\.csv row 3: it has no image"),
    "half": (b"image,row\na,1.5\n", "row 2: row '1.5' is not a whole number"),
    "endless": (b"image,row\na," + b"1" * 5000 + b"\n", "row 2: row '1111.*' is not a whole number"),
    "not text": (b"image,row\n\xff,1\n", r"flags\.csv after row 1: the text is not UTF-8"),
    "open quote": (b'image,row\n"a,1\n', r'flags\.csv after row 1: a quote \("\) is opened'),
}


@pytest.mark.parametrize(("content", "message"), FAULTY_FLAGS.values(), ids=FAULTY_FLAGS.keys())
def test_faulty_files(tmp_path, content, message):
    path = tmp_path / "flags.csv"
    path.write_bytes(content)
    with pytest.raises(SourceError, match=message):
        read_exclusions(path)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(SourceError, match=r"cannot read .*flags\.csv: No such file or directory"):
        read_exclusions(tmp_path / "flags.csv")


@given(st.text('image,row\n"1.5-\r\0é', max_size=40))
def test_random_files(tmp_path_factory, text):
    path = tmp_path_factory.getbasetemp() / "random.csv"
    path.write_text("image,row\n" + text)
    try:
        read_exclusions(path)
    except CellprepError as error:
        assert "\n" not in str(error)


def arrays_of(store):
    return {image_id: {name: image.read(name) for name in image.arrays} for image_id, image in store.items()}


@pytest.mark.parametrize("left_out", [["a,2"], ["a,3"], ["a,2", "a,4"], ["b,5", "a,3"]])
def test_targets_are_those_of_a_source_without_them(write_csv, flags, out, tmp_path, left_out):
    report = build(write_csv(*ROWS), out, flags(*left_out))
    assert report.failures == {}
    numbers = {int(line[2:]) for line in left_out}
    kept = [row for number, row in enumerate(ROWS, start=2) if number not in numbers]
    build(write_csv(*kept, name="kept.csv"), tmp_path / "kept.zarr")
    with_flags, without = arrays_of(open_store(out)), arrays_of(open_store(tmp_path / "kept.zarr"))
    assert with_flags.keys() == without.keys()
    for image_id, arrays in with_flags.items():
        rows = [number for number, row in enumerate(ROWS, start=2) if row[0] == image_id and number not in numbers]
        cells = arrays.pop("cells")
        assert cells[:, 0].tolist() == [row for row in rows if image_id != "c"]
        np.testing.assert_array_equal(cells[:, 1:], without[image_id].pop("cells")[:, 1:])
        for name, array in arrays.items():
            np.testing.assert_array_equal(array, without[image_id][name])
        ours, theirs = (dict(open_store(path)[image_id].attributes) for path in (out, tmp_path / "kept.zarr"))
        assert ours.pop("excluded") == sorted(int(line[2:]) for line in left_out if line[0] == image_id)
        assert theirs.pop("excluded") == []
        for name in ("recipe", "bytes", "crc32c"):
            ours.pop(name)
            theirs.pop(name)
        assert ours == theirs


def test_what_was_left_out_is_recorded(write_csv, flags, out):
    path = flags("a,2", "a,3", "b,")
    build(write_csv(*ROWS), out, path)
    store = open_store(out)
    assert store["a"].attributes["excluded"] == [2, 3]
    assert store["c"].attributes["excluded"] == []
    assert store.attributes["excluded"] == {
        "name": "flags.csv",
        "sha256": read_exclusions(path).sha256,
        "annotations": 2,
        "images": ["b"],
    }
    build(write_csv(*ROWS), out)
    assert "excluded" not in open_store(out).attributes


def test_only_what_changes_is_built_again(write_csv, flags, out):
    csv = write_csv(*ROWS)
    build(csv, out)
    report = build(csv, out, flags("a,2"))
    assert (report.rewritten, report.current) == (1, 2)
    report = build(csv, out, flags("a,2"))
    assert (report.rewritten, report.current) == (0, 3)


def test_images_left_out_count_as_not_in_the_source(write_csv, flags, out, tmp_path):
    csv = write_csv(*ROWS)
    build(csv, out)
    report = build(csv, out, flags("b,"))
    assert (report.current, report.total, report.gone) == (2, 2, ["b"])
    build(csv, out, flags("b,"), prune=True)
    assert list(open_store(out)) == ["a", "c"]
    with pytest.raises(UsageError, match=r"image 'b' is not in train\.csv, or is excluded"):
        build(csv, out, flags("b,"), only=("b",))


def test_a_file_of_an_image_left_out_is_not_called_unannotated(write_csv, flags, out, tmp_path):
    from PIL import Image

    (tmp_path / "images").mkdir()
    for name, shape in (("a", (5, 6)), ("b", (5, 6)), ("c", (3, 4)), ("d", (3, 4))):
        Image.fromarray(np.zeros(shape, np.uint8)).save(tmp_path / f"images/{name}.png")
    report = build(write_csv(*ROWS), out, flags("b,"), images=tmp_path / "images")
    assert report.unannotated == ["d.png"]


def test_a_faulty_annotation_can_be_left_out(write_csv, flags, out):
    csv = write_csv(*ROWS, "b,0 3,6,5,x", "b,,6,5,x")
    record = next(image for image in open_source(csv).images() if image.image_id == "b")
    assert set(record.faults()) == {8, 9}
    assert build(csv, out).failures.keys() == {"b"}
    report = build(csv, out, flags(*(f"b,{row}" for row in record.faults())))
    assert report.failures == {}
    assert open_store(out)["b"].read("cells")[:, 0].tolist() == [5, 6]


def test_an_image_may_lose_all_its_cells(write_csv, flags, out):
    report = build(write_csv(*ROWS, "b,,6,5,x"), out, flags("b,5", "b,6"))
    assert (report.failures, report.empty) == ({}, 2)
    assert open_store(out)["b"].attributes["cell_type"] == "round"
    report = build(write_csv(*ROWS), out, flags("a,2", "a,3", "a,4"))
    assert open_store(out)["a"].attributes["cells"] == 0


def test_what_is_not_there_cannot_be_left_out(write_csv, flags, out):
    csv = write_csv(*ROWS)
    with pytest.raises(UsageError, match=r"flags\.csv names image 'x', which is not in train\.csv"):
        build(csv, out, flags("a,2", "x,3"))
    assert not out.exists()
    report = build(csv, out, flags("a,2", "a,5"))
    assert report.failures == {"a": "row 5 is to be excluded, but none of its annotations has this row"}
    assert list(open_store(out)) == ["b", "c"]


def test_the_command_takes_them(cli, write_csv, flags, out):
    result = cli("build-targets", write_csv(*ROWS), "--exclude", flags("a,2"), "--out", out, "--jobs", 1)
    assert result.exit_code == 0, result.output
    assert open_store(out)["a"].attributes["excluded"] == [2]
    result = cli("build-targets", write_csv(*ROWS), "--exclude", flags("z,2"), "--out", out, "--jobs", 1)
    assert result.exit_code == 2
    assert result.stderr.endswith("error: flags.csv names image 'z', which is not in train.csv\n")


# The same in the other formats: what is left out, and what stays.


def coco(folder):
    square = [[1, 1, 3, 1, 3, 3, 1, 3]]
    image = {"id": 1, "file_name": "a.png", "width": 5, "height": 4}
    cells = [
        {"id": 8, "image_id": 1, "category_id": 1, "segmentation": square},
        {"id": 9, "image_id": 1, "category_id": 1, "segmentation": [[1]]},
        {"id": 10, "image_id": 1, "category_id": 2, "segmentation": [[0, 0, 5, 0, 5, 1, 0, 1]]},
        {"id": 11, "image_id": 1, "category_id": 2, "segmentation": None, "iscrowd": 1},
    ]
    categories = [{"id": 1, "name": "x"}, {"id": 2, "name": "y"}]
    path = folder / "coco.json"
    path.write_text(json.dumps({"images": [image], "annotations": cells, "categories": categories}))
    return path, ["a,8", "a,9", "a,11"], [[10, 5, 0]]


def labels(folder):
    (folder / "labels").mkdir()
    np.save(folder / "labels/a.npy", np.array([[3, 3, 5], [0, 9, 5]]))
    return folder / "labels", ["a,5"], [[3, 2, -1], [9, 1, -1]]


def masks(folder):
    from PIL import Image

    (folder / "train/a/masks").mkdir(parents=True)
    (folder / "train/a/masks/1.png").write_bytes(b"damaged")
    Image.fromarray(np.eye(3, dtype=np.uint8)).save(folder / "train/a/masks/2.png")
    return folder / "train", ["a,1"], [[2, 3, -1]]


def store(folder):
    path, _, _ = labels(folder)
    build(path, folder / "source.zarr")
    return folder / "source.zarr", ["a,3", "a,9"], [[5, 2, -1]]


@pytest.mark.parametrize("source", [coco, labels, masks, store])
def test_every_format_can_leave_out(tmp_path, flags, out, source):
    path, left_out, cells = source(tmp_path)
    report = build(path, out, flags(*left_out))
    assert report.failures == {}
    image = open_store(out)["a"]
    assert image.read("cells").tolist() == cells
    assert image.read("labels").max() == len(cells)
    assert "ignore" not in image.arrays
    for found in open_source(path).images():
        with pytest.raises(AnnotationError, match="row 777 is to be excluded, but none of its annotations has this"):
            found.without([777]).load()


def test_the_same_bytes_for_any_number_of_jobs(write_csv, flags, tmp_path):
    csv, path = write_csv(*ROWS), flags("a,2", "b,6")
    for jobs in (1, 2):
        build(csv, tmp_path / f"{jobs}.zarr", path, jobs=jobs)
    assert tree(tmp_path / "1.zarr") == tree(tmp_path / "2.zarr")
