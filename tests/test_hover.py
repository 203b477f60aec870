"""The maps of HoVer-Net against plain loops in its own order, and cells decoded from them."""

import numpy as np
import pytest
import tifffile
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import center_of_mass, label

from cellprep import score_image
from cellprep.core.decode.hover import hover_to_labels
from cellprep.core.targets.hover import hover_maps


def pieces_of(labels):
    """Renumber the 4-connected pieces of cells."""
    pieces = np.zeros(labels.shape, int)
    for number in np.unique(labels[labels > 0]):
        found, _ = label(labels == number)
        pieces[found > 0] = found[found > 0] + pieces.max()
    return pieces


def spread(labels, least):
    """Make the maps of each piece by itself, on a grid of its own around it."""
    pieces = np.pad(pieces_of(labels), 2)
    maps = np.zeros((*pieces.shape, 2), np.float32)
    for number in range(1, pieces.max() + 1):
        rows, columns = np.nonzero(pieces == number)
        if len(rows) < least:
            continue
        box = slice(rows.min() - 2, rows.max() + 3), slice(columns.min() - 2, columns.max() + 3)
        own = pieces[box] == number
        middle = [int(place + 0.5) for place in center_of_mass(own)]
        for channel, axis in enumerate([1, 0]):
            grid = ((np.indices(own.shape)[axis] + 1 - middle[axis]) * own).astype(np.float32)
            if grid.min() < 0:
                grid[grid < 0] /= -grid[grid < 0].min()
            if grid.max() > 0:
                grid[grid > 0] /= grid[grid > 0].max()
            maps[(*box, channel)][own] = grid[own]
    return maps[2:-2, 2:-2]


@st.composite
def drawn_cells(draw):
    """Draw few cells that touch, in pieces and with holes, of pixels or of squares of them."""
    shape = draw(st.tuples(st.integers(1, 8), st.integers(1, 8)))
    cells = draw(arrays(np.uint16, shape, elements=st.integers(0, 3)))
    return cells.repeat(draw(st.integers(1, 3)), axis=0).repeat(draw(st.integers(1, 3)), axis=1)


@given(drawn_cells(), st.sampled_from([0, 4, 30]))
def test_maps_are_those_of_each_piece_by_itself(labels, least):
    np.testing.assert_array_equal(hover_maps(labels, least), spread(labels, least))


@pytest.mark.parametrize("name", ["dsb2018", "usiigaci"])
def test_real_cells_have_the_maps_of_loops(test_data, name):
    labels = tifffile.imread(sorted((test_data / name / "masks").glob("*.tif"))[0])[:256, :256]
    np.testing.assert_array_equal(hover_maps(labels), spread(labels, 30))


def test_maps_give_cells_that_touch_back():
    rows, columns = np.mgrid[:70, :90]
    labels = np.zeros((70, 90), int)
    for number, (y, x, radius) in enumerate([(20, 20, 15), (22, 48, 16), (48, 38, 14), (52, 75, 12)], start=1):
        labels[np.hypot(rows - y, columns - x) < radius] = number
    labels[5:7, 80:84] = 5  # too small for a mask, and for maps
    found = hover_to_labels(np.where(labels, 0.5, 0.4), hover_maps(labels))
    score = score_image(found, labels)
    assert score.matched[0] == score.predicted == 4
    assert score.matched_iou / 4 > 0.95
