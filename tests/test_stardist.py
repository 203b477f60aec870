"""The targets of StarDist against plain loops, and cells decoded from them."""

import numpy as np
import pytest
import tifffile
from conftest import examples
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from cellprep import Recipe, compute_targets, score_image
from cellprep.core.decode.stardist import star_to_labels
from cellprep.core.targets import stardist
from cellprep.core.targets.by_window import CellsOfLabels, TargetsByWindow
from cellprep.core.targets.stardist import star_distances, star_probability

F = np.float32


def walked(labels, rays, origin=(0, 0)):
    """Walk each ray of each pixel by itself, in the order in which StarDist computes in float32."""
    height, width = labels.shape
    lengths = np.zeros((height, width, rays), F)
    for row, column in np.argwhere(labels):
        for ray in range(rays):
            angle = F(ray) * F(2 * np.pi / rays)
            dy, dx = F(np.sin(np.float64(angle))), F(np.cos(np.float64(angle)))
            y, x = F(0), F(0)
            i, j = row, column
            while 0 <= i < height and 0 <= j < width and labels[i, j] == labels[row, column]:
                y, x = y + dy, x + dx
                i = int(np.rint(F(row + origin[0]) + y)) - origin[0]
                j = int(np.rint(F(column + origin[1]) + x)) - origin[1]
            back = F(0.5) / max(abs(dy), abs(dx)) - F(1)
            y, x = y + back * dy, x + back * dx
            lengths[row, column, ray] = np.sqrt(y * y + x * x)
    return lengths


def measured(labels):
    """Look for the nearest pixel that is not of the cell, from each pixel; around an image of one cell, there are."""
    if labels.flat[0] and (labels == labels.flat[0]).all():
        return measured(np.pad(labels, 1))[1:-1, 1:-1]
    far = np.zeros(labels.shape)
    for place in np.argwhere(labels):
        others = np.argwhere(labels != labels[tuple(place)])
        far[tuple(place)] = np.sqrt(((others - place) ** 2).sum(axis=1).min())
    highest = {number: far[labels == number].max() for number in np.unique(labels)}
    shares = [far[place] / (highest[number] + 1e-10) for place, number in np.ndenumerate(labels)]
    return np.reshape(shares, labels.shape).astype(F)


@st.composite
def drawn_cells(draw):
    """Draw few cells that touch, in pieces and with holes, of pixels or of squares of them."""
    shape = draw(st.tuples(st.integers(1, 7), st.integers(1, 7)))
    return draw(arrays(np.uint16, shape, elements=st.integers(0, 3))).repeat(draw(st.integers(1, 3)), axis=1)


@given(drawn_cells(), st.sampled_from([3, 5, 8, 12, 32]), st.sampled_from([(0, 0), (3, 1), (5000, 70_000)]))
@pytest.mark.parametrize("cached", [1, 1 << 20], ids=["eight steps at once", "many steps at once"])
def test_rays_end_where_those_walked_one_by_one_do(cached, labels, rays, origin):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stardist, "_CACHED", cached)
        np.testing.assert_array_equal(star_distances(labels, rays, origin), walked(labels, rays, origin))


def test_rays_have_the_sines_of_glibc():
    """Not always the nearest float32."""
    angle = F(3) * F(2 * np.pi / 64)
    assert F(np.sin(np.float64(angle))) == F(0.29028466) != stardist._sine_and_cosine(np.array([angle]))[0]
    assert stardist._sine_and_cosine(np.array([angle])).tolist() == [[F(0.29028469)], [F(np.cos(np.float64(angle)))]]


def test_rays_of_more_pixels_than_a_byte_counts():
    rays = star_distances(np.ones((1, 700), np.uint8), 4)
    np.testing.assert_array_equal(rays[0, :, 0], np.arange(699.5, 0, -1))
    np.testing.assert_array_equal(rays[0, :, 2], np.arange(0.5, 700))


@given(drawn_cells())
@pytest.mark.parametrize("known", [2, 512], ids=["by SciPy", "by OpenCV"])
def test_the_probability_is_the_distance_to_the_nearest_other_pixel(known, labels):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stardist, "_SQUARES_ARE_KNOWN", known)
        np.testing.assert_array_equal(star_probability(labels), measured(labels))


@settings(max_examples=examples(40))
@given(drawn_cells(), st.data())
def test_targets_of_a_window_are_those_of_the_whole_image(labels, data):
    before = data.draw(st.tuples(st.integers(0, 5), st.integers(0, 5)))  # where it begins, rays are rounded by
    labels = np.pad(np.kron(labels, np.ones((3, 3), np.uint16)), [(rows, 0) for rows in before])
    recipe = Recipe(targets="stardist:rays=12,hover:least=4")
    ends = [sorted(data.draw(st.sets(st.integers(0, size), min_size=2, max_size=2))) for size in labels.shape]
    window = tuple(slice(*end) for end in ends)
    cells = CellsOfLabels(
        labels.__getitem__, labels.shape, recipe.overlap, np.bincount(labels.ravel(), minlength=4)[1:]
    )
    whole = compute_targets(labels, recipe)
    for name, part in TargetsByWindow(cells, recipe, recipe.made).at(*window).items():
        if name != "labels":
            np.testing.assert_array_equal(part, whole[name][window], err_msg=name)


def test_real_cells_have_the_rays_and_distances_of_loops(test_data):
    labels = tifffile.imread(sorted((test_data / "usiigaci" / "masks").glob("*.tif"))[0])[430:490, 300:360]
    assert len(np.unique(labels)) > 1
    np.testing.assert_array_equal(star_distances(labels, 8), walked(labels, 8))
    np.testing.assert_array_equal(star_probability(labels), measured(labels))


def test_polygons_give_the_cells_back():
    rows, columns = np.mgrid[:60, :90]
    labels = np.zeros((60, 90), int)
    for number, (y, x, radius) in enumerate([(20, 20, 15), (22, 52, 16), (45, 40, 12), (50, 75, 9)], start=1):
        labels[np.hypot(rows - y, columns - x) < radius] = number
    found = star_to_labels(star_probability(labels), star_distances(labels))
    score = score_image(found, labels)
    assert score.matched[0] == 4
    assert score.matched_iou / 4 > 0.9


def test_a_better_polygon_hides_and_covers_others():
    probability = np.zeros((20, 40))
    rays = np.zeros((20, 40, 32))
    for column, sure, radius in [(10, 0.9, 6), (14, 0.8, 6), (20, 0.7, 6), (33, 0.5, 4)]:
        probability[10, column], rays[10, column] = sure, radius
    found = star_to_labels(probability, rays)
    assert found.max() == 2  # the second shares too much with the first, and the last is not probable enough
    assert found[10, 15] == 1  # which the first and the third share
    assert found[10, 17] == 2
    assert star_to_labels(probability, rays, most_overlap=1.0).max() == 3
    assert not star_to_labels(probability[9:], rays[9:]).any()  # their centres are at the edge
    assert star_to_labels(probability[9:], rays[9:], edge=0).max() == 2
