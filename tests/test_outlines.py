"""Outlines against hand-drawn ones, and against an obvious point-in-polygon test of every pixel's centre."""

from collections import Counter
from itertools import pairwise

import numpy as np
import pytest
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage

from cellprep import open_source, resolve_overlaps
from cellprep.core.outlines import trace_masks, trace_outlines
from cellprep.core.rle import runs_from_masks
from cellprep.errors import UsageError

# What is drawn, and the rings of its polygons, each from its topmost corner on.
DRAWN = {
    "a pixel": ("#", [[[[0, 0], [1, 0], [1, 1], [0, 1]]]]),
    "at an edge": (".##", [[[[1, 0], [3, 0], [3, 1], [1, 1]]]]),
    "an L": ("#. ##", [[[[0, 0], [1, 0], [1, 1], [2, 1], [2, 2], [0, 2]]]]),
    "a hole": (
        "### #.# ###",
        [[[[0, 0], [3, 0], [3, 3], [0, 3]], [[1, 1], [1, 2], [2, 2], [2, 1]]]],
    ),
    "two at a corner": ("#. .#", [[[[0, 0], [1, 0], [1, 1], [0, 1]]], [[[1, 1], [2, 1], [2, 2], [1, 2]]]]),
    "apart": ("#.#", [[[[0, 0], [1, 0], [1, 1], [0, 1]]], [[[2, 0], [3, 0], [3, 1], [2, 1]]]]),
    "holes that touch": (
        "#### #.## ##.# ####",
        [[[[0, 0], [4, 0], [4, 4], [0, 4]], [[1, 1], [1, 2], [2, 2], [2, 1]], [[2, 2], [2, 3], [3, 3], [3, 2]]]],
    ),
    # One ring would touch itself at (1, 1), so the hole is a ring of its own.
    "a hole at a corner of the exterior": (
        ".## #.# ###",
        [[[[1, 0], [3, 0], [3, 3], [0, 3], [0, 1], [1, 1]], [[1, 1], [1, 2], [2, 2], [2, 1]]]],
    ),
}


def draw(text):
    return np.array([[char == "#" for char in row] for row in text.split()]).astype(np.uint8)


def same_pixels(polygons, mask):
    """Return whether exactly the centres of the mask's pixels are inside the polygons, checked pixel by pixel."""
    sides = [side for polygon in polygons for ring in polygon for side in pairwise(ring.tolist())]
    for (y, x), inside in np.ndenumerate(mask):
        to_the_left = sum(
            x0 == x1 and x0 < x + 0.5 and min(y0, y1) < y + 0.5 < max(y0, y1) for (x0, y0), (x1, y1) in sides
        )
        if (to_the_left % 2 == 1) != inside:
            return False
    return True


def fill(polygons, shape):
    """The pixels within polygons, the fast way."""
    filled = np.zeros(shape, bool)
    for (x0, y0), (x1, y1) in (side for polygon in polygons for ring in polygon for side in pairwise(ring.tolist())):
        if x0 == x1:
            filled[min(y0, y1) : max(y0, y1), x0:] ^= True
    return filled


def shoelace(ring):
    x, y = ring.T
    return int((x[:-1] * y[1:] - x[1:] * y[:-1]).sum()) / 2


def assert_valid(polygons, mask):
    """Valid as Simple Features have it: simple rings that share no side, and polygons of one piece each."""
    for polygon in polygons:
        for ring in polygon:
            corners = list(map(tuple, ring.tolist()))
            assert corners[0] == corners[-1]
            assert len(set(corners)) == len(corners) - 1 >= 4
            steps = np.diff(ring, axis=0)
            assert ((steps == 0).sum(axis=1) == 1).all()
            assert ((steps[1:] != 0) != (steps[:-1] != 0)).all()  # every corner is one
        assert [shoelace(ring) > 0 for ring in polygon] == [True] + [False] * (len(polygon) - 1)
        assert ndimage.label(fill([polygon], mask.shape))[1] == 1
    assert len(polygons) == ndimage.label(mask)[1]
    sides = Counter(
        (x, y, along_x)
        for polygon in polygons
        for ring in polygon
        for (x0, y0), (x1, y1) in pairwise(ring.tolist())
        for along_x in [y0 == y1]
        for x, y in (
            [(x, y0) for x in range(min(x0, x1), max(x0, x1))]
            if along_x
            else [(x0, y) for y in range(min(y0, y1), max(y0, y1))]
        )
    )
    assert set(sides.values()) <= {1}


@pytest.mark.parametrize(("text", "polygons"), DRAWN.values(), ids=DRAWN.keys())
def test_hand_drawn_outlines(text, polygons):
    traced = trace_outlines(draw(text))[1]
    assert [[ring.tolist() for ring in polygon] for polygon in traced] == [
        [[*ring, ring[0]] for ring in polygon] for polygon in polygons
    ]
    assert_valid(traced, draw(text))


def test_the_reference_can_fail():
    [polygons] = trace_outlines(draw("### #.# ###")).values()
    assert same_pixels(polygons, draw("### #.# ###") > 0)
    assert not same_pixels(polygons, draw("### ### ###") > 0)
    assert not same_pixels([polygons[0][:1]], draw("### #.# ###") > 0)


@given(st.integers(0, 2**32 - 1), st.integers(1, 9), st.integers(1, 9), st.integers(1, 3), st.floats(0.1, 1))
def test_random_labels(seed, height, width, count, density):
    rng = np.random.default_rng(seed)
    labels = rng.integers(1, count + 1, (height, width)) * (rng.random((height, width)) < density)
    outlines = trace_outlines(labels)
    assert list(outlines) == sorted(set(labels.ravel().tolist()) - {0})
    for label, polygons in outlines.items():
        assert same_pixels(polygons, labels == label)
        assert_valid(polygons, labels == label)


@given(masks())
def test_random_cells(stack):
    labels = (stack * np.arange(1, len(stack) + 1)[:, None, None]).max(axis=0, initial=0)
    for label, polygons in trace_outlines(labels).items():
        assert same_pixels(polygons, labels == label)
        assert_valid(polygons, labels == label)


@pytest.mark.parametrize("canvas", [1, 60, 2**18])
@given(masks())
def test_masks_are_traced_together_as_each_alone(canvas, stack):
    stack = stack[stack.any((1, 2))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.core.outlines._CANVAS", canvas)
        found = list(trace_masks(runs_from_masks(stack)))
    expected = [trace_outlines(mask.astype(np.uint8))[1] for mask in stack]
    assert [[[ring.tolist() for ring in part] for part in cell] for cell in found] == [
        [[ring.tolist() for ring in part] for part in cell] for cell in expected
    ]


def test_no_cells():
    assert trace_outlines(np.zeros((3, 4), np.uint16)) == {}


def test_labels_are_refused_that_are_none():
    with pytest.raises(UsageError, match="labels must be"):
        trace_outlines(np.zeros((3, 4)))


def test_real_cells(sartorius):
    images = list(open_source(sartorius).images())[::64]
    for image in images:
        labels = resolve_overlaps(image.load().runs).labels
        for label, polygons in trace_outlines(labels).items():
            assert_valid(polygons, labels == label)
            np.testing.assert_array_equal(fill(polygons, labels.shape), labels == label)
