"""Measures of cells equal those of scikit-image, for any windows and any form of cells."""

import re
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import tifffile
from conftest import examples, masks
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.measure import regionprops_table
from stores import discs, noise, write_store

from cellprep import (
    PROPERTIES,
    BuildOptions,
    build_targets,
    encode_rle,
    measure,
    open_source,
    open_store,
    parse_rle,
    resolve_overlaps,
)
from cellprep.core.measures import DEFAULT_PROPERTIES
from cellprep.core.measures.by_window import Readable, measure_cells
from cellprep.core.windows import windows
from cellprep.errors import AnnotationError, MissingExtraError, UsageError
from cellprep.store import documents

OURS = ("touching_cells", "nearest_distance", "intensity_sum")
THEIRS = tuple(name for name in PROPERTIES if name not in OURS)


@st.composite
def images(draw):
    """Draw labels, some numbers of which are missing, and an image of one channel or several."""
    stack = draw(masks(max_side=14))
    labels = resolve_overlaps(parse_rle(encode_rle(stack), stack.shape[1:])).labels.astype(np.int64)
    labels *= draw(st.sampled_from([1, 3]))
    channels = draw(st.integers(1, 3))
    dtype = draw(st.sampled_from([np.uint8, np.uint16, np.float32, np.float64]))
    values = np.random.default_rng(draw(st.integers(0, 99))).uniform(0, 255, (*labels.shape, channels))
    return labels, values.astype(dtype)


def in_windows(labels, pixels=None, side=None):
    pixels = None if pixels is None else np.moveaxis(pixels, -1, 0)
    parts = list(windows(labels.shape, side))
    return Readable(
        labels.shape,
        labels.__getitem__,
        parts,
        0 if pixels is None else len(pixels),
        None if pixels is None else lambda window: pixels[:, *window],
    )


def assert_same(found, expected):
    assert list(found) == list(expected)
    for name, values in expected.items():
        assert found[name].dtype == values.dtype, name
        np.testing.assert_array_equal(found[name], values, err_msg=name)


@given(images())
@settings(max_examples=examples(100))
def test_measures_are_those_of_scikit_image(image):
    labels, pixels = image
    found = measure_cells(in_windows(labels, pixels), THEIRS)
    if labels.any():
        shown = pixels if pixels.shape[-1] > 1 else pixels[..., 0]
        assert_same(found, regionprops_table(labels, shown, properties=("label", *THEIRS)))
    assert len(found["label"]) == len(np.unique(labels[labels > 0]))


@given(images(), st.integers(1, 5))
def test_windows_change_nothing(image, side):
    labels, pixels = image
    assert_same(
        measure_cells(in_windows(labels, pixels, side), PROPERTIES),
        measure_cells(in_windows(labels, pixels), PROPERTIES),
    )


def test_lengths_and_areas_grow_with_the_cells():
    """Doubling the cells doubles lengths and quadruples areas (`Property.power`)."""
    y, x = np.indices((40, 60))
    cells = np.where(np.hypot(y - 20, x - 14) < 11, 1, np.where(np.hypot((y - 18) / 15, (x - 45) / 8) < 1, 2, 0))
    small, large = (measure_cells(in_windows(np.kron(cells, np.ones((by, by), int))), PROPERTIES) for by in (3, 6))
    for name, one in [(name, one) for name, one in PROPERTIES.items() if one.power]:
        for column in [column for column in small if name in (column, column.rpartition("-")[0])]:
            np.testing.assert_allclose(large[column], 2**one.power * small[column], rtol=0.05, err_msg=column)


def test_no_more_is_read_than_holds_the_cells_of_a_window():
    labels = np.kron(np.arange(1, 401).reshape(20, 20), np.pad(np.ones((4, 4), int), 1))
    image, sizes = in_windows(labels, side=12), []

    def read(window):
        sizes.append(max(part.stop - part.start for part in window))
        return labels[window]

    measure_cells(replace(image, labels=read), ["area", "perimeter", "touching_cells"])
    assert max(sizes) <= 12 + 6


def neighbours(labels):
    """Compare all pixels of all cells: how many touch each, and the distance to the nearest one."""
    cells = [np.argwhere(labels == number) for number in np.unique(labels[labels > 0])]
    apart = np.full((len(cells), len(cells)), np.nan)
    for i, one in enumerate(cells):
        for j, other in enumerate(cells):
            if i != j:
                apart[i, j] = np.sqrt(((one[:, np.newaxis] - other) ** 2).sum(-1).min())
    return (apart < 1.5).sum(axis=1), [min(row[~np.isnan(row)], default=np.nan) for row in apart]


@given(images(), st.sampled_from([1, 10, 90]))
def test_neighbours_are_those_of_an_obvious_search(image, spread):
    labels = np.zeros(np.array(image[0].shape) * spread, np.int64)
    labels[::spread, ::spread] = image[0]  # the farther apart, the more often the search must look further
    found = measure_cells(in_windows(labels, side=200), OURS[:2])
    touching, nearest = neighbours(labels)
    np.testing.assert_array_equal(found["touching_cells"], touching)
    np.testing.assert_array_equal(found["nearest_distance"], nearest)


def test_large_cells_are_compared_by_a_tree():
    labels = np.zeros((40, 900), np.int64)
    labels[:12], labels[15:30, 5:] = 1, 2
    labels[29, 400], labels[31:] = 0, 3
    found = measure_cells(in_windows(labels), OURS[:2])
    assert found["nearest_distance"].tolist() == [4, 2, 2]
    assert found["touching_cells"].tolist() == [0, 0, 0]


def test_real_cells_are_measured_as_by_scikit_image(test_data):
    for path in sorted((test_data / "dsb2018/masks").glob("*.tif"))[::60]:
        labels, pixels = tifffile.imread(path), tifffile.imread(test_data / "dsb2018/images" / path.name)
        expected = regionprops_table(labels, pixels, properties=("label", *THEIRS))
        assert_same(measure_cells(in_windows(labels, pixels[..., np.newaxis], 300), THEIRS), expected)


# How the same cells may be given: a folder of label images, annotations, a store, and arrays.
LABELS = discs((60, 80), 9)
PIXELS = noise((60, 80))
NUMBERS = np.unique(LABELS)[1:].tolist()


@pytest.fixture
def folder(tmp_path):
    for name, array in {"masks": LABELS.astype(np.uint16), "images": PIXELS}.items():
        (tmp_path / "set" / name).mkdir(parents=True)
        tifffile.imwrite(tmp_path / "set" / name / "a.tif", array)
    return tmp_path / "set"


@pytest.fixture
def expected():
    shown = regionprops_table(LABELS, PIXELS, properties=("label", "area", "bbox", "intensity_std"))
    return pd.DataFrame(shown)


@pytest.mark.parametrize(
    "given_as", ["path", "text", "source", "store", "store path", "store and images", "array", "dict"]
)
def test_cells_may_be_given_in_many_ways(folder, tmp_path, expected, given_as):
    images = None
    if given_as.startswith("store"):
        images = folder / "images" if given_as == "store and images" else None
        what = write_store(tmp_path / "s.zarr", {"a": (LABELS, None if images else PIXELS)})
        what = what.path if given_as == "store path" else what
    else:
        what = {"path": folder, "text": str(folder), "source": open_source(folder), "array": LABELS}.get(given_as)
    if given_as in ("array", "dict"):
        what, images = (LABELS, PIXELS) if given_as == "array" else ({"a": LABELS}, {"a": PIXELS})
    table = measure(what, images, properties=["area", "bbox", "intensity_std"], jobs=1, quiet=True)
    assert set(table["image"]) == {"image" if given_as == "array" else "a"}
    pd.testing.assert_frame_equal(table[list(expected)], expected)


def test_overlaps_are_resolved_by_a_rule(write_csv):
    csv = write_csv("a,1 8 11 8,10,4,b", "a,4 3,10,4,c", "b,1 1,10,4,", "c,1 1,10,4,b", "c,9 1,10,4,")
    areas = {
        rule: measure(csv, properties=["area"], overlap=rule, quiet=True, jobs=1)["area"].tolist()
        for rule in ("smaller-on-top", "background")
    }
    assert areas == {"smaller-on-top": [13, 3, 1, 1, 1], "background": [13, 1, 1, 1]}
    table = measure(csv, quiet=True, properties=["area"], pixel_size=0.5, jobs=1)
    assert table.iloc[:2].to_dict("list") == {
        "image": ["a", "a"],
        "label": [1, 2],
        "row": [2, 3],
        "cell_type": ["b", "c"],
        "area": [13.0, 3.0],
        "area_um2": [3.25, 0.75],
    }
    assert table["cell_type"].isna().tolist() == [False, False, True, False, True]


def test_a_store_says_the_size_of_pixels(write_csv, tmp_path):
    build_targets(
        open_source(write_csv("a,1 8 11 8,10,4,b")),
        tmp_path / "s.zarr",
        BuildOptions(pixel_size=2.0, jobs=1, quiet=True),
    )
    table = measure(tmp_path / "s.zarr", properties=["bbox", "centroid", "area"], quiet=True)
    names = ["bbox-0", "bbox-1", "bbox-2", "bbox-3", "centroid-0", "centroid-1", "centroid-0_um", "centroid-1_um"]
    assert [*table][4:] == [*names, "area", "area_um2"]
    assert table.loc[0, ["area_um2", "centroid-1", "centroid-1_um"]].tolist() == [64, 3.5, 7]


def test_huge_images_are_measured_by_windows(folder, tmp_path, monkeypatch):
    expected = measure(folder, jobs=1, quiet=True).drop(columns="label")
    sizes = {"store.documents._CHUNK": 8, "store.documents._SHARD": 16, "core.windows._SIDE": 16}
    for name, pixels in {**sizes, "core.measures.neighbours._HALO": 2}.items():
        monkeypatch.setattr(f"cellprep.{name}", pixels)
    documents.array_document.cache_clear()
    store = tmp_path / "s.zarr"
    build_targets(open_source(folder), store, BuildOptions(jobs=1, quiet=True))
    assert open_store(store)["a"].is_huge
    for what in (folder, store):
        found = measure(what, jobs=1, quiet=True).drop(columns="label")
        pd.testing.assert_frame_equal(found, expected, rtol=0, atol=0)
    documents.array_document.cache_clear()


@pytest.fixture
def mixed(tmp_path):
    """Images of one channel, of three, of the wrong size, and no cell."""
    (tmp_path / "m").mkdir()
    (tmp_path / "i").mkdir()
    sizes = {"a": (60, 80), "b": (60, 80, 3), "c": (9, 9), "d": (60, 80)}
    for name, shape in sizes.items():
        tifffile.imwrite(tmp_path / "m" / f"{name}.tif", (LABELS * (name != "d")).astype(np.uint16))
        tifffile.imwrite(tmp_path / "i" / f"{name}.tif", noise(shape, 3))
    return tmp_path / "m", tmp_path / "i"


@pytest.mark.parametrize("name", ["cells.csv", "cells.tsv", "cells.parquet"])
def test_the_table_is_the_same_however_many_processes(cli, mixed, tmp_path, monkeypatch, name):
    labels, images = mixed
    read = {".csv": pd.read_csv, ".tsv": lambda path: pd.read_csv(path, sep="\t"), ".parquet": pd.read_parquet}
    for jobs in (1, 2):
        result = cli("measure", labels, "--images", images, "--out", tmp_path / f"{jobs}-{name}", "--jobs", jobs)
        assert result.exit_code == 1
        assert f"3 images, {2 * len(NUMBERS)} cells" in result.output
        assert "c: " in result.output
        assert "has 9 x 9 pixels, but its cells 60 x 80" in result.output
    one, two = (tmp_path / f"{jobs}-{name}" for jobs in (1, 2))
    assert one.read_bytes() == two.read_bytes()
    table = read[one.suffix](one)
    assert table["image"].tolist() == ["a"] * len(NUMBERS) + ["b"] * len(NUMBERS)
    assert table["label"].tolist() == NUMBERS * 2
    assert table["intensity_mean"].notna().tolist() == [True] * len(NUMBERS) + [False] * len(NUMBERS)
    monkeypatch.setattr("cellprep.commands.measure.pieces._ROWS_AT_ONCE", len(NUMBERS))  # an image at a time
    with pytest.warns(UserWarning, match="1 of 4 images failed"):
        again = measure(labels, images, quiet=True, jobs=1)
    assert list(again.attrs["failures"]) == ["c"]
    pd.testing.assert_frame_equal(again, table, check_dtype=False, rtol=0, atol=0)


@pytest.mark.parametrize(
    ("options", "error"),
    [
        ({"properties": ["size"]}, "property 'size' is unknown: use one of area, "),
        ({"properties": "size"}, "property 'size' is unknown: use one of area, "),
        ({"pixel_size": 0}, "pixel size 0 is invalid: give a number of micrometres"),
        ({"only": ["z"]}, "image 'z' is not in labels in memory"),
        ({"images": {"z": PIXELS}}, "image 'z' has no labels in labels in memory"),
        ({"images": {"a": PIXELS.astype(str)}}, r"image a must be numbers, .*, not <U\d+ of shape \(60, 80\)"),
        ({"images": PIXELS * 1j}, r"images must be \(H, W\) or .*, not complex128 of shape \(60, 80\)"),
        ({"images": 5}, "images must be .*, not the int64 5"),
        ({"images": [[1], [1, 2]]}, "images must be .*, not a list of 2"),
        ({"propertys": ["area"]}, "there is no option propertys: did you mean properties"),
    ],
)
def test_what_cannot_be_measured_is_refused(options, error):
    with pytest.raises(UsageError, match=error):
        measure({"a": LABELS}, quiet=True, **options)


def test_labels_that_are_none_are_refused():
    with pytest.raises(AnnotationError, match=r"the label image 'image' has the float64 value 0\.5"):
        measure(LABELS + 0.5)
    with pytest.raises(AnnotationError, match="a: there is no image in which to measure intensities"):
        measure({"a": LABELS}, properties=["intensity_mean"], quiet=True)
    with pytest.raises(
        AnnotationError, match="has 60 x 80 x 3 pixels, but its cells 60 x 80; channels must come first"
    ):
        measure(LABELS, np.stack([PIXELS] * 3, axis=-1), quiet=True)
    with pytest.raises(
        UsageError, match=r"what is int64 of shape \(2, 60, 80\): give a path, the result of open_source"
    ):
        measure(np.stack([LABELS] * 2).astype(np.int64))
    with pytest.raises(AnnotationError, match="the image id is empty"):
        measure({"": LABELS}, quiet=True)
    with pytest.raises(UsageError, match="two images have the id '5' after conversion to a string"):
        measure({5: LABELS, "5": LABELS})
    with pytest.raises(UsageError, match=r"images is uint8 of shape \(60, 80\), and labels in memory has 2 images"):
        measure({"a": LABELS, "b": LABELS}, PIXELS)


def test_tables_that_cannot_be_written_are_refused(cli, folder, monkeypatch):
    assert "cells.txt is not the name of a table: use the extension .csv, .tsv, .parquet" in str(
        cli("measure", folder, "--out", "cells.txt").output
    )
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    result = cli("measure", folder, "--out", "cells.parquet")
    assert isinstance(result.exception, MissingExtraError) or "pip install 'cellprep[tables]'" in result.output


def test_every_property_is_described():
    text = (Path(__file__).parent.parent / "docs" / "measure.md").read_text(encoding="utf-8")
    lines = "".join(line.split("|")[1] for line in text.splitlines() if line.startswith("| `"))
    described = {name: star == "*" for name, star in re.findall(r"`(\w+)`(\*?)", lines)}
    assert {name: name not in DEFAULT_PROPERTIES for name in PROPERTIES}.items() <= described.items()
