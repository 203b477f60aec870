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


@given(masks(), st.sampled_from(["row", "column"]), st.sampled_from(["smaller-on-top", "background"]), st.integers(2, 4))
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
