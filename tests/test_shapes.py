"""Overlaps and shapes of annotations against slow references on whole images."""

from itertools import combinations

import numpy as np
import pytest
from conftest import masks
from hypothesis import given
from scipy import ndimage

from cellprep.core.overlaps import find_overlaps
from cellprep.core.rle import encode_rle, parse_rle
from cellprep.core.shapes import Shape, cutouts, measure_shape


def runs_of(stack, order="row"):
    return parse_rle(encode_rle(stack, order), stack.shape[1:], order)


@pytest.mark.parametrize("order", ["row", "column"])
@given(stack=masks())
def test_overlaps_are_those_of_the_masks(order, stack):
    overlaps = find_overlaps(runs_of(stack, order))
    shared = {
        (a, b): int((stack[a] & stack[b]).sum())
        for a, b in combinations(range(len(stack)), 2)
        if (stack[a] & stack[b]).any()
    }
    pairs = zip(overlaps.first.tolist(), overlaps.second.tolist(), overlaps.pixels.tolist(), strict=True)
    assert {(a, b): pixels for a, b, pixels in pairs} == shared
    coverage = stack.sum(axis=0)
    assert overlaps.contested.tolist() == [int((mask & (coverage > 1)).sum()) for mask in stack]
    assert overlaps.covered_once == (coverage == 1).sum()
    assert overlaps.covered_often == (coverage > 1).sum()


def longest_straight_part(mask):
    """Walk along every row line between two pixels, and count how far the outline follows it."""
    beyond = np.pad(mask, 1, mode="edge").astype(int)
    longest = 0
    for upper, lower in zip(beyond[:-1, 1:-1], beyond[1:, 1:-1], strict=True):
        for side in (1, -1):
            length = 0
            for step in lower - upper:
                length = length + 1 if step == side else 0
                longest = max(longest, length)
    return longest


def pixels_in_no_square(mask):
    beyond = np.pad(mask, 1, mode="edge")
    kept = np.zeros_like(beyond)
    for y in range(beyond.shape[0] - 1):
        for x in range(beyond.shape[1] - 1):
            if beyond[y : y + 2, x : x + 2].all():
                kept[y : y + 2, x : x + 2] = True
    return int((mask & ~kept[1:-1, 1:-1]).sum())


@pytest.mark.parametrize("order", ["row", "column"])
@given(stack=masks())
def test_shapes_are_those_of_the_masks(order, stack):
    found = list(cutouts(runs_of(stack, order)))
    assert len(found) == len(stack)
    for cutout, mask in zip(found, stack, strict=True):
        assert cutout.at_edge == (mask[0].any(), mask[-1].any(), mask[:, 0].any(), mask[:, -1].any())
        assert measure_shape(cutout) == Shape(
            pieces=ndimage.label(mask, np.ones((3, 3)))[1],
            hole_pixels=int((ndimage.binary_fill_holes(np.pad(mask, 1)) & ~np.pad(mask, 1)).sum()),
            thin_pixels=pixels_in_no_square(mask),
            straight=longest_straight_part(mask),
        )


def test_an_edge_of_the_image_is_no_cut():
    mask = np.zeros((1, 6, 9), bool)
    mask[0, :3] = True
    (cutout,) = cutouts(runs_of(mask))
    assert measure_shape(cutout) == Shape(pieces=1, hole_pixels=0, thin_pixels=0, straight=9)
