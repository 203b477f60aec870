"""Windows, flips, rotations and warps of images against slow, obvious references."""

import cv2
import numpy as np
import pytest
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st

from cellprep import compute_targets, encode_rle, parse_rle, resolve_overlaps
from cellprep.core.targets import PUBLISHED_BINS
from cellprep.errors import UsageError
from cellprep.learn.data.augmentation import AUGMENTATIONS, check_augmentations, draw_plan
from cellprep.learn.data.views import View
from cellprep.learn.data.warp import GRID, Placement, Warp
from cellprep.learn.data.windows import Span, cut, cut_targets, turned, turned_targets

TURNS = [np.array(turn) for turn in ([[a, 0], [0, b]] for a in (1, -1) for b in (1, -1))]
TURNS += [turn[::-1] for turn in TURNS]

spans = st.tuples(st.integers(-40, 40), st.integers(1, 30)).map(lambda pair: Span(pair[0], pair[0] + pair[1]))
sides = st.integers(1, 12)


@given(sides, sides, spans, spans)
def test_cuts_what_numpy_pads(height, width, rows, columns):
    array = np.arange(height * width).reshape(height, width)
    padded = np.pad(array, 80, mode="symmetric")
    expected = padded[80 + rows.start : 80 + rows.stop, 80 + columns.start : 80 + columns.stop]
    np.testing.assert_array_equal(cut(array, rows, columns), expected)
    real = np.pad(np.ones_like(array), 80)[80 + rows.start : 80 + rows.stop, 80 + columns.start : 80 + columns.stop]
    np.testing.assert_array_equal(rows.real(height)[:, None] & columns.real(width), real)


@given(sides, sides, spans, spans)
def test_vectors_are_mirrored_as_vectors(height, width, rows, columns):
    uvec = np.random.default_rng(0).standard_normal((height, width, 2)).astype(np.float32)
    down = np.concatenate([uvec, uvec[::-1] * [-1, 1]])
    plane = np.tile(np.concatenate([down, down[:, ::-1] * [1, -1]], axis=1), (80, 80, 1))
    top, left = 2 * height * 40, 2 * width * 40
    expected = plane[top + rows.start : top + rows.stop, left + columns.start : left + columns.stop]
    np.testing.assert_array_equal(cut_targets({"uvec": uvec}, rows, columns)["uvec"], expected)


@pytest.mark.parametrize("turn", TURNS, ids=str)
def test_turns_pixel_by_pixel(turn):
    array = np.arange(25).reshape(5, 5)
    expected = np.empty_like(array)
    for y in range(5):
        for x in range(5):
            expected[y, x] = array[tuple(turn @ (y - 2, x - 2) + 2)]
    np.testing.assert_array_equal(turned(array, turn), expected)


def cells_of(stack):
    return resolve_overlaps(parse_rle(encode_rle(stack), stack.shape[1:]))


@given(masks(), st.sampled_from(TURNS))
def test_targets_turned_are_targets_of_what_is_turned(stack, turn):
    first = compute_targets(cells_of(stack))
    second = compute_targets(cells_of(np.moveaxis(turned(np.moveaxis(stack, 0, -1), turn), -1, 0)))
    expected = turned_targets(first, turn)
    near_bin = np.abs(second["distance"][..., None] - np.float32(PUBLISHED_BINS)).min(axis=-1) < 1e-3
    for name, array in second.items():
        differ = np.abs(expected[name].astype(float) - array) > 1e-3
        assert not (differ & ~near_bin if name == "energy" else differ).any(), name


angles = st.floats(0, 2 * np.pi)


def warp_of(angle, zoom, waves=None):
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    return Warp(matrix, waves)


def draw_waves(seed):
    return draw_plan(("elastic",), 1, np.random.default_rng(seed)).warp.waves


def whole_map(warp, place, rows, columns):
    """Return the map of each pixel by itself."""
    there = np.empty((2, len(rows), len(columns)))
    for y in range(rows.start, rows.stop):
        for x in range(columns.start, columns.stop):
            offset = np.subtract((y, x), place.sample)
            if warp.waves:
                phase = warp.waves.frequencies @ (y, x) + warp.waves.phases
                offset = offset + warp.waves.amplitudes.T @ np.sin(phase)
            there[:, y - rows.start, x - columns.start] = warp.matrix @ offset + place.image
    return there


@given(angles, st.floats(0.5, 2), st.booleans(), st.integers(-5, 5), st.integers(1, 40), st.integers(1, 40))
def test_maps_pixel_by_pixel(angle, zoom, deformed, start, height, width):
    warp = warp_of(angle, zoom, draw_waves(1) if deformed else None)
    place = Placement((7.5, 7.5), (30.25, 12))
    rows, columns = Span(start * GRID, start * GRID + height), Span(0, width)
    there = warp.map(place, rows, columns)
    # Between the points of its grid a wave of 48 pixels is off by a thirtieth of its height at most.
    np.testing.assert_allclose(there, whole_map(warp, place, rows, columns), atol=1.0 if deformed else 1e-3)
    assert (warp.bounds(place, rows, columns)[0].start <= there[0]).all()
    assert (there[1] < warp.bounds(place, rows, columns)[1].stop).all()


def test_a_window_is_mapped_alike_whatever_is_around_it():
    warp, place = warp_of(1, 1.2, draw_waves(3)), Placement((15.5, 15.5), (40, 50))
    small = warp.map(place, Span(0, 32), Span(0, 32))
    large = warp.map(place, Span(-24, 61), Span(-8, 48))
    np.testing.assert_allclose(large[:, 24:56, 8:40], small, atol=1e-4)


@given(sides, sides, angles, st.floats(0.5, 2), st.floats(-20, 30), st.floats(-20, 30))
def test_shows_the_nearest_pixel_of_the_mirrored_plane(height, width, angle, zoom, y, x):
    labels = np.arange(height * width, dtype=np.uint32).reshape(height, width) + 2**20
    view = View((height, width), warp_of(angle, zoom), Placement((7.5, 7.5), (y, x)))
    window = view.window(Span(0, 16), Span(0, 16))
    there = whole_map(view.warp, view.place, Span(0, 16), Span(0, 16))
    between = (np.abs(there % 1 - 0.5) < 1e-2).any(axis=0)  # rounding may go either way
    nearest = np.rint(there).astype(int)
    expected = labels[mirrored(nearest[0], height), mirrored(nearest[1], width)]
    shown = window.show(window.cut(labels), cv2.INTER_NEAREST)
    assert shown.dtype == np.uint32
    np.testing.assert_array_equal(shown[~between], expected[~between])
    real = (nearest[0] >= 0) & (nearest[0] < height) & (nearest[1] >= 0) & (nearest[1] < width)
    told = np.ones((16, 16), bool) if window.real is None else window.real
    np.testing.assert_array_equal(told[~between], real[~between])


def mirrored(places, size):
    places = places % (2 * size)
    return np.minimum(places, 2 * size - 1 - places)


@pytest.mark.parametrize("interpolation", [cv2.INTER_LINEAR, cv2.INTER_CUBIC])
@pytest.mark.parametrize("centre", [(0, 0), (20, 39), (-3, 20)], ids=str)
def test_a_region_shows_what_the_whole_image_would(interpolation, centre):
    image = np.random.default_rng(0).random((40, 40)).astype(np.float32)
    view = View((40, 40), warp_of(0.4, 1.1), Placement((3.5, 3.5), centre))
    window = view.window(Span(0, 8), Span(0, 8))
    region = window.cut(image)
    assert region.size < image.size
    plane = np.pad(image, 40, mode="symmetric")
    there = (whole_map(view.warp, view.place, Span(0, 8), Span(0, 8)) + 40).astype(np.float32)
    expected = cv2.remap(plane, there[1], there[0], interpolation)
    np.testing.assert_allclose(window.show(region, interpolation), expected, atol=1e-4)


def test_draws_each_augmentation_alike_whatever_the_order_of_their_names():
    names = tuple(AUGMENTATIONS)
    first, second = (draw_plan(order, 2, np.random.default_rng(5)) for order in (names, names[::-1]))
    np.testing.assert_array_equal(first.warp.matrix, second.warp.matrix)
    assert first.grey.seed == second.grey.seed


def test_flips_are_all_eight_alike_often():
    rng = np.random.default_rng(0)
    turns = [draw_plan(("flips",), 1, rng).warp.quarter_turn.tobytes() for _ in range(800)]
    counts = [turns.count(turn.astype(np.int64).tobytes()) for turn in TURNS]
    assert sum(counts) == 800
    assert min(counts) > 60


def test_free_warps_are_no_quarter_turns_and_keep_their_limits():
    rng = np.random.default_rng(0)
    for _ in range(50):
        warp = draw_plan(("rotation", "zoom", "elastic"), 1, rng).warp
        assert warp.quarter_turn is None
        assert 0.74 < warp.zoom < 1.34
        # No fold: the displacement's slope stays below 1.
        slope = (np.linalg.norm(warp.waves.amplitudes, axis=1) * np.linalg.norm(warp.waves.frequencies, axis=1)).sum()
        assert slope < 1


@pytest.mark.parametrize(
    ("names", "problem"), [(("flip",), "'flip' is unknown: use one of flips, "), ("grey", "is a string")]
)
def test_refuses_unknown_augmentations(names, problem):
    with pytest.raises(UsageError, match=problem):
        check_augmentations(names)
