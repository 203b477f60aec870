"""Filling, joining and simplifying outlines, against slow, obvious versions."""

import numpy as np
import pytest
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from pycocotools import mask as coco

from cellprep.core.filling import fill_outlines
from cellprep.core.outlines import join_rings, simplify_polygons, trace_masks, trace_outlines
from cellprep.core.rle import encode_rle, format_rle, parse_rle
from cellprep.errors import RLEError, TooLargeError

# pycocotools decodes masks in a way that NumPy is giving up.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")

# Corners that lie on centres, edges and between, within the image and beyond it.
CORNERS = st.tuples(*[st.one_of(st.integers(-6, 24).map(lambda n: n / 2), st.floats(-3, 12, width=32))] * 2)
RINGS = st.lists(st.lists(CORNERS, min_size=1, max_size=7).map(np.array), max_size=3)


def inside(rings, shape):
    """Cast a ray from each pixel's centre to the left, and count the sides that it meets."""
    found = np.zeros(shape, bool)
    for row, column in np.ndindex(shape):
        x, y = column + 0.5, row + 0.5
        for ring in rings:
            for (x0, y0), (x1, y1) in zip(ring, np.roll(ring, -1, axis=0), strict=True):
                if (y0 <= y < y1 or y1 <= y < y0) and x0 + (y - y0) * (x1 - x0) / (y1 - y0) <= x:
                    found[row, column] ^= True
    return found


@given(st.lists(RINGS, max_size=3))
def test_pixels_whose_centres_lie_within(outlines):
    shape = (9, 8)
    runs = fill_outlines(outlines, shape)
    found = runs.to_masks()
    for one, rings in zip(found, outlines, strict=True):
        np.testing.assert_array_equal(one, inside(rings, shape))
    assert format_rle(runs) == encode_rle(found)  # so each run is as long as can be


@pytest.mark.parametrize("corner", [np.nan, np.inf, 1e10])
def test_corners_that_are_nowhere_are_refused(corner):
    with pytest.raises(RLEError, match="annotation 1: its outline has a corner that is not finite"):
        fill_outlines([[], [np.array([[0, 0], [corner, 0], [0, 2]])]], (3, 3))


def test_sides_without_end_are_refused():
    zigzag = np.stack([np.arange(300_000), np.arange(300_000) % 2 * 1e6], axis=1)
    with pytest.raises(TooLargeError, match="the interior of its outlines"):
        fill_outlines([[zigzag]], (1_000_000, 1_000_000))


def parsed(stack):
    stack = stack[stack.any(axis=(1, 2))]
    return stack, parse_rle(encode_rle(stack), stack.shape[1:])


@given(masks())
def test_outlines_of_masks_that_overlap_are_exact(stack):
    stack, runs = parsed(stack)
    outlines = list(trace_masks(runs))
    for mask, polygons in zip(stack, outlines, strict=True):
        for found, expected in zip(polygons, trace_outlines(mask.astype(int))[1], strict=True):
            for ring, exact in zip(found, expected, strict=True):
                np.testing.assert_array_equal(ring, exact)
    filled = fill_outlines([[ring for polygon in polygons for ring in polygon] for polygons in outlines], runs.shape)
    assert format_rle(filled) == format_rle(runs)


@given(masks())
def test_joined_rings_enclose_the_same(stack):
    """Equal to pycocotools as well, with one ring per piece or a single ring."""
    stack, runs = parsed(stack)
    for mask, polygons in zip(stack, trace_masks(runs), strict=True):
        whole = join_rings([ring for polygon in polygons for ring in polygon])
        np.testing.assert_array_equal(fill_outlines([[whole]], runs.shape).to_masks()[0], mask)
        for parts in ([whole], [join_rings(polygon) for polygon in polygons]):
            counts = coco.merge(coco.frPyObjects([part.ravel().astype(float) for part in parts], *map(int, runs.shape)))
            np.testing.assert_array_equal(coco.decode(counts), mask)


@given(masks(), st.floats(0.5, 3))
def test_simplified_sides_are_near_what_they_replace(stack, tolerance):
    for polygons in trace_outlines(stack[0].astype(int) if len(stack) else np.zeros((1, 1), int)).values():
        for exact, ring in zip(
            [ring for polygon in polygons for ring in polygon],
            [ring for polygon in simplify_polygons(polygons, tolerance) for ring in polygon],
            strict=True,
        ):
            assert len(ring) >= 4
            assert (ring[0] == ring[-1]).all()
            starts, sides = ring[:-1, None], np.diff(ring, axis=0)[:, None]
            along = ((exact - starts) * sides).sum(-1) / np.maximum((sides**2).sum(-1), 1)
            nearest = starts + np.clip(along, 0, 1)[..., None] * sides
            assert np.linalg.norm(exact - nearest, axis=-1).min(axis=0).max() <= tolerance + 1e-6
    assert simplify_polygons([], tolerance) == []
