"""Hand-drawn areas, pixel by pixel: fast implementations against slow, obvious ones."""

import numpy as np
import pytest
from drawn import MASK, PACKED
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellprep.core.areas import bitmap_spans, ellipse_spans, polygon_spans, runs_of_spans, united
from cellprep.core.outlines import trace_outlines
from cellprep.errors import RLEError
from cellprep.formats.drawings.shapes import RowRuns, joined, number_of, rectangle
from cellprep.formats.label_studio.brush import decode_brush

SHAPES = st.tuples(st.integers(1, 9), st.integers(1, 9))
MASKS = SHAPES.flatmap(lambda shape: arrays(bool, shape))


def drawn(spans, shape):
    return runs_of_spans([spans], shape).to_masks()[0]


@given(MASKS)
def test_exact_outlines_hold_exactly_their_pixels(mask):
    """With holes, and parts that touch at corners."""
    polygons = trace_outlines(mask.astype(np.uint8)).get(1, [])
    found = united(polygon_spans(polygons, mask.shape))
    np.testing.assert_array_equal(drawn(found, mask.shape), mask)
    assert (found[0, 1:] > found[1, :-1]).all() and (found[0] < found[1]).all()  # sorted, and none touches the next


@given(st.lists(MASKS.filter(lambda mask: mask.shape == (3, 3)) | arrays(bool, (3, 3)), min_size=1, max_size=4))
def test_a_union_is_any(masks):
    found = united([bitmap_spans(mask, 0, 0, (3, 3)) for mask in masks])
    np.testing.assert_array_equal(drawn(found, (3, 3)), np.any(masks, axis=0))


@given(MASKS, st.tuples(*[st.integers(0, 3)] * 4))
def test_bitmaps_and_runs_along_rows_lie_where_their_box_does(mask, around):
    before_y, after_y, before_x, after_x = around
    expected = np.pad(mask, ((before_y, after_y), (before_x, after_x)))
    np.testing.assert_array_equal(
        drawn(bitmap_spans(mask, before_x, before_y, expected.shape), expected.shape), expected
    )
    flat = mask.ravel().tolist()
    lengths, inside = [0], False
    for value in flat:  # outside first
        if value != inside:
            lengths.append(0)
            inside = value
        lengths[-1] += 1
    runs = RowRuns(np.array(lengths), mask.shape, before_x, before_y)
    np.testing.assert_array_equal(drawn(runs.spans(expected.shape), expected.shape), expected)


NUMBERS = st.integers(-20, 40).map(lambda number: number / 4)
RADII = st.integers(1, 30).map(lambda number: number / 4)


@given(SHAPES, st.tuples(NUMBERS, NUMBERS), st.tuples(RADII, RADII), st.sampled_from([0, 30, 90, -135]))
def test_an_ellipse_has_the_pixels_whose_centres_it_holds(shape, centre, radii, degrees):
    angle = np.radians(degrees)
    y, x = np.mgrid[: shape[0], : shape[1]] + 0.5
    dx, dy = x - centre[0], y - centre[1]
    along, across = dx * np.cos(angle) + dy * np.sin(angle), dy * np.cos(angle) - dx * np.sin(angle)
    distance = (along / radii[0]) ** 2 + (across / radii[1]) ** 2
    found = drawn(ellipse_spans(centre, radii, shape, degrees), shape)
    certain = np.abs(distance - 1) > 1e-6
    np.testing.assert_array_equal(found[certain], (distance <= 1)[certain])


@pytest.mark.parametrize("radii", [(0, 1), (1, -1), (1e-300, 1), (float("nan"), 1), (1e300, 1)])
def test_what_is_no_ellipse(radii):
    with pytest.raises(RLEError, match="radii above 0"):
        ellipse_spans((1, 1), radii, (3, 3))


def brush_stroke(mask, lengths=(3, 4, 8, 16), bits=8, literal=False):
    """Pack a mask as Label Studio's converter does: the four channels of each pixel, in records of bits."""
    values = np.repeat(mask.ravel() * (2**bits - 1), 4)
    text = f"{len(values):032b}{bits - 1:05b}" + "".join(f"{length - 1:04b}" for length in lengths)
    edges = range(5, len(values), 5) if literal else np.flatnonzero(np.diff(values)) + 1
    place = 0
    for end in [*edges, len(values)]:
        while place < end:
            choice = next((k for k, length in enumerate(lengths) if end - place <= 2**length), 3)
            number = min(end - place, 2 ** lengths[choice])
            written = values[place : place + (number if literal else 1)]
            text += f"{0 if literal else 1}{choice:02b}{number - 1:0{lengths[choice]}b}"
            text += "".join(f"{value:0{bits}b}" for value in written.tolist())
            place += number
    text += "0" * (-len(text) % 8)
    return [int(text[k : k + 8], 2) for k in range(0, len(text), 8)]


@given(MASKS, st.sampled_from([(3, 4, 8, 16), (1, 2, 3, 4)]), st.sampled_from([1, 8, 11]), st.booleans())
def test_a_brush_comes_back(mask, lengths, bits, literal):
    np.testing.assert_array_equal(decode_brush(brush_stroke(mask, lengths, bits, literal), mask.shape), mask)


def test_a_brush_of_label_studio_itself():
    np.testing.assert_array_equal(decode_brush(PACKED, (3, 4)), MASK)


@given(st.lists(st.integers(0, 255), max_size=30))
def test_no_stream_of_bits_does_harm(rle):
    try:
        assert decode_brush([0, 0, 0, 48, *rle], (3, 4)).shape == (3, 4)
    except RLEError as error:
        assert "rle" in error.problem


def test_a_rectangle_turns_about_its_centre_or_a_corner():
    (ring,) = rectangle((0, 0), (2, 4), 90).rings
    np.testing.assert_allclose(ring, [(3, 1), (3, 3), (-1, 3), (-1, 1)], atol=1e-12)
    (ring,) = rectangle((0, 0), (2, 4), 90, about=(0, 0)).rings
    np.testing.assert_allclose(ring, [(0, 0), (0, 2), (-4, 2), (-4, 0)], atol=1e-12)


@pytest.mark.parametrize("value", [None, True, "1,5", float("nan"), 10**400, "9" * 99, [1], {}])
def test_what_is_no_number(value):
    with pytest.raises(RLEError, match=r"its x is .*: it must be a number$"):
        number_of(value, "x")


def test_shapes_of_no_group_stay_apart():
    assert [drawing.row for drawing in joined([(None, None, ""), (None, None, "")])] == [1, 2]
