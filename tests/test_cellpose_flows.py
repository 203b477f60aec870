"""Cellpose's flows, and cells from flows, against slow versions of its rules and against results of cellpose."""

import cellpose_reference as slow
import numpy as np
import pytest
from conftest import examples
from decode_reference import numbered
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.io import imread
from skimage.segmentation import expand_labels
from test_by_window import annotations, assert_the_same

from cellprep import Recipe
from cellprep.core.decode.flows import follow, labels_of_flows, meeting
from cellprep.core.targets import heat
from cellprep.core.targets.flows import flows, steps_of

# A square whose middle is warmest, a cell without its centre, a line, a ring, one pixel, and a cell in two pieces.
DRAWN = np.array(
    [
        [1, 1, 1, 0, 2, 0, 2, 3],
        [1, 1, 1, 2, 2, 2, 2, 3],
        [1, 1, 1, 0, 0, 0, 0, 3],
        [0, 0, 4, 4, 4, 0, 0, 3],
        [5, 0, 4, 0, 4, 0, 6, 0],
        [0, 0, 4, 4, 0, 0, 0, 6],
    ]
)
# What cellpose 4.2.1.1 gives for it, times 100,000.
OF_CELLPOSE = [
    [
        [70711, 100000, 70711, 0, 100000, 0, 99439, 64810],
        [0, 0, 0, 0, -72990, 0, -93496, 63680],
        [-70711, -100000, -41495, 0, 0, 0, 0, -100000],
        [0, 0, -32520, 0, 64299, 0, 0, -100000],
        [0, 0, -100000, 0, -100000, 0, 0, 0],
        [0, 0, -96609, 0, 0, 0, 0, 0],
    ],
    [
        [70711, 0, -70711, 0, 0, 0, 10578, -76155],
        [100000, 0, -100000, -100000, 68356, -100000, -35475, -77103],
        [70711, 0, -90984, 0, 0, 0, 0, 0],
        [0, 0, 94564, -100000, -76587, 0, 0, 0],
        [0, 0, 0, 0, 0, 0, 0, 0],
        [0, 0, 25822, -100000, 0, 0, 0, 0],
    ],
]


def test_flows_are_those_of_cellpose():
    found = np.moveaxis(flows(DRAWN), -1, 0)
    np.testing.assert_allclose(found, np.array(OF_CELLPOSE) / 100000, atol=6e-6)
    np.testing.assert_allclose(np.moveaxis(slow.flows(DRAWN), -1, 0), np.array(OF_CELLPOSE) / 100000, atol=6e-6)


@st.composite
def label_images(draw, side=14, count=5):
    """Rectangles over one another, with holes and cuts in them, or each pixel any cell's; numbers may be missing."""
    shape = draw(st.tuples(st.integers(1, side), st.integers(1, side)))
    if draw(st.booleans()):
        pixels = st.lists(st.integers(0, count), min_size=shape[0] * shape[1], max_size=shape[0] * shape[1])
        return np.array(draw(pixels)).reshape(shape)
    labels = np.zeros(shape, int)
    for _ in range(draw(st.integers(0, 8))):
        top, left = draw(st.integers(0, shape[0] - 1)), draw(st.integers(0, shape[1] - 1))
        height, width = draw(st.integers(1, side)), draw(st.integers(1, side))
        labels[top : top + height, left : left + width] = draw(st.integers(0, count))
    return labels


@settings(max_examples=examples(150))
@given(labels=label_images(), at_once=st.sampled_from([1, 4, 2**12]))
def test_flows_equal_the_rule(labels, at_once):
    """The rounding, too, that points the way where both sides are equally warm."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(heat, "_TILES_AT_ONCE", at_once)
        np.testing.assert_allclose(flows(labels), slow.flows(labels), rtol=0, atol=1e-7)


@pytest.mark.parametrize("side", [(5, 5), (9, 9), (15, 15), (1, 40), (7, 24), (30, 31)])
def test_flows_where_rounding_alone_points_the_way(side):
    """Squares and lines have such pixels, and no others may change."""
    labels = np.zeros((34, 60), int)
    labels[2 : 2 + side[0], 3 : 3 + side[1]] = 1
    labels[:, 50:] = np.arange(34)[:, None] // 3 + 2
    np.testing.assert_allclose(flows(labels), slow.flows(labels), rtol=0, atol=1e-7)


def test_flows_where_hardly_any_heat_comes():
    """Along a line, heat falls to a tenth from pixel to pixel: far out, it underflows to 0, and so does its slope."""
    labels = np.zeros((3, 200), int)
    labels[1] = 1
    found = flows(labels)
    np.testing.assert_allclose(found, slow.flows(labels), rtol=0, atol=1e-7)
    assert found[1, 60, 1] == 1
    assert 0 < found[1, 0, 1] < 1e-4


def test_flows_of_a_part_need_the_steps_of_the_image():
    labels = np.zeros((20, 60), int)
    labels[3:9, 3:12], labels[9:12, 5:7], labels[15:17] = 1, 2, 3
    part = labels[:14, :30]
    assert np.array_equal(flows(part, steps_of(np.array([[6, 9], [3, 2], [2, 60]]))), flows(labels)[:14, :30])
    assert not np.array_equal(flows(part), flows(labels)[:14, :30])


@settings(max_examples=examples(20))
@given(runs=annotations(), side=st.sampled_from([3, 8, 17]))
def test_windows_equal_the_whole_image(runs, side):
    assert_the_same(runs, Recipe(targets="cellpose"), side, halo=1)


def test_flows_of_real_cells(test_data):
    """Nuclei of which some touch; each a little larger, so that more do."""
    path = min((test_data / "dsb2018" / "masks").glob("*.tif"))
    labels = expand_labels(imread(path), 2)
    np.testing.assert_allclose(flows(labels), slow.flows(labels), rtol=0, atol=1e-7)


@settings(max_examples=examples(15))
@given(labels=label_images(side=30, count=3), turn=st.floats(-0.4, 0.4), steps=st.integers(0, 40))
def test_cells_from_flows_equal_the_rule(labels, turn, steps):
    """The flows are the true ones, or rotated, as predicted ones may be."""
    inside = labels > 0
    right = flows(labels)
    vectors = right * np.float32(np.cos(turn)) + right[..., ::-1] * np.float32([-np.sin(turn), np.sin(turn)])
    ends = slow.ends(vectors, inside, steps)
    assert np.array_equal(follow(vectors, inside, steps), ends)
    met = slow.meeting(ends, inside)
    assert np.array_equal(meeting(ends, inside), numbered(met))
    error = 0.1
    found = labels_of_flows(vectors, inside, steps, error, smallest=15)
    assert np.array_equal(found, numbered(slow.cleaned(met, vectors, error, 15)))


def test_cells_come_back():
    labels = np.zeros((60, 80), int)
    labels[4:20, 4:25], labels[20:33, 6:20], labels[40:58, 30:52], labels[5:30, 60:75] = 1, 2, 3, 4
    labels[10:12, 66:69] = 0
    found = labels_of_flows(flows(labels), labels > 0)
    labels[10:12, 66:69] = 4  # holes are filled
    assert np.count_nonzero(found != numbered(labels)) <= 1  # at a corner where two touch


@pytest.mark.parametrize("labels", [np.zeros((3, 4), int), np.ones((1, 1), int)], ids=["none", "one pixel"])
def test_images_without_flows(labels):
    assert not flows(labels).any()
    assert not labels_of_flows(flows(labels), labels > 0).any()
