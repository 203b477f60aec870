"""Images and cells at 1/N of their size: against slow references, and through the commands."""

from fractions import Fraction

import numpy as np
import pytest
import tifffile
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellprep import build_targets, evaluate, export_labels, open_store
from cellprep.commands.build_targets.shrinking import shrunk
from cellprep.core.cells import resolve_overlaps
from cellprep.core.rle import runs_from_masks
from cellprep.core.shrinking import middles, shrink_image
from cellprep.core.targets import Recipe
from cellprep.errors import RecipeError
from cellprep.formats.annotations.record import Annotations

SHAPES = st.tuples(st.integers(1, 11), st.integers(1, 11))
DTYPES = ["bool", "uint8", "int8", "uint16", "int32", "float16", "float32", "float64"]


def blocks(shape, by):
    """Return for each block of an image its place, and its rows and columns."""
    rows, columns = ([slice(k, min(k + by, size)) for k in range(0, size, by)] for size in shape)
    return {(i, j): (y, x) for i, y in enumerate(rows) for j, x in enumerate(columns)}


def middle(part):
    return part.start + (part.stop - part.start) // 2


@given(st.data(), st.sampled_from(DTYPES), SHAPES, st.integers(1, 4))
def test_a_pixel_is_the_mean_of_its_block(data, dtype, shape, by):
    elements = {"min_value": -100, "max_value": 100, "width": 16} if dtype.startswith("float") else {}
    image = data.draw(arrays(dtype, (2, *shape), elements=st.floats(**elements) if elements else None))
    found = shrink_image(image, by)
    assert found.dtype == image.dtype
    for place, window in blocks(shape, by).items():
        for channel in range(2):
            values = image[(channel, *window)].ravel().tolist()
            mean = Fraction(sum(map(Fraction, values))) / len(values)
            is_whole = image.dtype.kind != "f"
            expected = (mean + Fraction(1, 2)).__floor__() if is_whole else np.dtype(dtype).type(float(mean))
            assert found[(channel, *place)] == pytest.approx(expected, rel=0 if is_whole else 1e-3, abs=1e-6)


@given(
    masks(), st.sampled_from(["row", "column"]), st.sampled_from(["smaller-on-top", "background"]), st.integers(2, 4)
)
def test_a_label_is_that_of_the_middle_of_its_block(masks, order, rule, by):
    runs = runs_from_masks(masks, order)
    ignore = masks.any(0)
    annotations = Annotations(runs, tuple(range(len(runs))), ("",) * len(runs), "", ignore=ignore)
    found, _ = shrunk(annotations, None, by, rule)
    full = resolve_overlaps(runs, rule).labels
    expected = {place: full[tuple(map(middle, window))] for place, window in blocks(full.shape, by).items()}
    labels = found.runs.paint(np.arange(1, len(runs) + 1)) if len(runs) else np.zeros(found.runs.shape, int)
    assert {place: labels[place] for place in np.ndindex(labels.shape)} == expected
    rows, columns = ([middle(slice(k, min(k + by, n))) for k in range(0, n, by)] for n in full.shape)
    np.testing.assert_array_equal(found.areas, masks[:, rows][:, :, columns].sum((1, 2)))
    np.testing.assert_array_equal(found.ignore, ignore[rows][:, columns])
    assert [middles(n, by).tolist() for n in full.shape] == [rows, columns]


@pytest.fixture
def source(tmp_path):
    """Label images of an odd size with a cell of one pixel, and their pictures, of 0.3 µm pixels."""
    labels = np.zeros((41, 50), np.uint16)
    labels[2:20, 3:22], labels[10:41, 20:45], labels[30:36, 2:8], labels[25, 12] = 1, 2, 3, 9
    pixels = np.random.default_rng(0).integers(0, 4000, labels.shape).astype(np.uint16)
    for name, image in (("labels", labels), ("images", pixels)):
        (tmp_path / name).mkdir()
        size = {"axes": "YX", "PhysicalSizeX": 0.3, "PhysicalSizeY": 0.3}
        tifffile.imwrite(tmp_path / name / "a.tif", image, ome=True, metadata=size)
    return tmp_path


def build(source, of="labels", out="s.zarr", **options):
    where = {} if of.endswith(".zarr") else {"images": source / "images"}
    return build_targets(source / of, source / out, jobs=1, quiet=True, **where, **options)


def test_a_store_at_a_third_of_the_size(source, cli):
    report = build(source, shrink=3)
    assert report.notes()[:2] == ["1 cell without pixels at 1/3 of the size, kept in `cells`:", "  a: row 9"]
    assert report.notes()[-1].endswith("1 image (1 new, 0 rewritten, 0 current), 4 cells, at 1/3 of the size")
    image = open_store(source / "s.zarr")["a"]
    assert (image.shape, image.metadata.pixel_size, image.recipe.shrink) == ((14, 17), 0.9, 3)
    labels, pixels = (tifffile.imread(source / name / "a.tif") for name in ("labels", "images"))
    np.testing.assert_array_equal(image["image"], shrink_image(pixels, 3))
    middle_pixels = np.ix_(middles(41, 3), middles(50, 3))
    np.testing.assert_array_equal(image["labels"], labels[middle_pixels])
    again = build(source, shrink=3)
    assert (again.current, again.blank) == (1, {"a": (9,)})
    assert cli("verify", source / "s.zarr").exit_code == cli("roundtrip", source / "s.zarr").exit_code == 0
    exported = export_labels(source / "s.zarr", "label-tiff", source / "out", jobs=1, quiet=True)
    assert exported.notes()[1] == "  14 x 17: 1 image at 1/3"
    with tifffile.TiffFile(source / "out" / "a.tif") as file:
        assert (file.pages[0].shape, 'PhysicalSizeX="0.9"' in file.ome_metadata) == ((14, 17), True)
    # What was predicted in the whole image is scored at the store's size.
    scores = evaluate(source / "labels", source / "s.zarr", jobs=1, quiet=True)
    assert scores.scores["overall"]["kaggle_map"] == 1
    assert "predicted cells of 1 image scored at 1/3 of their size, the size of the true cells" in scores.notes()
    assert evaluate(source / "out", source / "s.zarr", jobs=1, quiet=True).scores["overall"]["kaggle_map"] == 1


def test_what_was_shrunk_is_shrunk_on_from_there(source):
    build(source, shrink=2)
    for by in (1, 3):
        problem = build(source, "s.zarr", "t.zarr", shrink=by).failures["a"]
        assert problem.startswith("it is already at 1/2 of its size") and "give --shrink 2" in problem
    assert not build(source, "s.zarr", "t.zarr", shrink=2).failures
    same, again = (open_store(source / name)["a"] for name in ("s.zarr", "t.zarr"))
    assert {name: same[name].tobytes() for name in same} == {name: again[name].tobytes() for name in again}
    build(source, "s.zarr", "t.zarr", shrink=4)
    image = open_store(source / "t.zarr")["a"]
    assert (image.shape, image.metadata.pixel_size) == ((11, 13), 1.2)
    for by in (0, 9, 2.5):
        with pytest.raises(RecipeError, match="is not a whole number"):
            Recipe(shrink=by)
