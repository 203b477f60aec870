"""Affinities, boundaries, distances and centres equal those of their packages, and cells decoded from them."""

import numpy as np
import object_reference as slow
import pytest
import reference
from conftest import examples, masks
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.segmentation import find_boundaries

from cellprep import Recipe, compute_targets, open_source, resolve_overlaps
from cellprep.core.decode.boundaries import boundary_to_labels
from cellprep.core.decode.mutex import affinities_to_labels
from cellprep.core.targets.affinities import affinities
from cellprep.core.targets.boundary import BOUNDARIES, BOUNDARY, INSIDE, boundary_classes
from cellprep.core.targets.instance_distance import instance_distance, relative_distance
from cellprep.core.targets.object_distance import object_distances
from cellprep.core.targets.panoptic_deeplab import centre_heat, centre_offsets
from cellprep.errors import RecipeError


@st.composite
def label_images(draw):
    """Cells in pieces, with holes, of one pixel, that touch or fill the image; or none; numbers are missing."""
    stack = draw(masks())
    labels = reference.labels(stack, stack.shape[1:])
    return (draw(st.sampled_from([1, 3, 7000])) * labels).astype(draw(st.sampled_from([np.uint16, np.int64])))


@pytest.fixture(scope="module")
def real(test_data):
    """Label images of astrocytes that overlap, and of nuclei."""
    nuclei = open_source(test_data / "dsb2018" / "masks").images()
    records = [*list(open_source(test_data / "sartorius" / "train.csv").images())[:2], next(iter(nuclei))]
    return [resolve_overlaps(record.load().runs).labels for record in records]


steps = st.integers(-14, 14)
switches = st.fixed_dictionaries({name: st.booleans() for name in ("foreground", "mask", "ignored_borders")})


@settings(max_examples=examples(60))
@given(
    label_images(), st.lists(st.tuples(steps, steps), min_size=1, max_size=4), switches, st.sampled_from([None, 0, 3])
)
def test_affinities_are_those_of_torch_em(labels, offsets, chosen, ignored):
    found = affinities(labels, offsets, **chosen, ignored=ignored)
    expected = slow.affinities(labels, offsets, **chosen, ignored=ignored)
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(np.moveaxis(found, -1, 0), expected)


@given(label_images())
def test_boundaries_are_those_of_scikit_image(labels):
    for mode in ("inner", "outer", "thick"):
        classes = boundary_classes(labels, mode)
        boundary = find_boundaries(labels.astype(np.int32), mode=mode)  # of int64, its filters lose the highest number
        np.testing.assert_array_equal(classes, np.where(boundary, BOUNDARY, labels > 0))


@settings(max_examples=examples(40))
@given(label_images(), st.integers(1, 4))
def test_borders_are_what_erosion_of_each_cell_takes(labels, thickness):
    expected = np.where(slow.border(labels, thickness), BOUNDARY, labels > 0)
    np.testing.assert_array_equal(boundary_classes(labels, "border-core", thickness), expected)


@settings(max_examples=examples(60))
@given(label_images())
def test_distances_are_to_the_nearest_other_label(labels):
    plain, signed = instance_distance(labels), instance_distance(labels, signed=True)
    if len(set(labels.flat)) == 1:
        diagonal = np.float32(np.hypot(*labels.shape))
        assert (signed == (diagonal if labels.any() else -diagonal)).all()
        return
    expected = np.zeros(labels.shape, np.float32)
    for y, x in np.ndindex(labels.shape):
        expected[y, x] = slow.distance(labels if labels[y, x] else labels > 0, y, x)
    inside = labels > 0
    np.testing.assert_array_equal(plain, np.where(inside, expected, 0))
    np.testing.assert_array_equal(signed, np.where(inside, expected, -expected))
    deepest = {label: expected[labels == label].max() for label in set(labels.flat)}
    relative = relative_distance(labels, signed)
    np.testing.assert_array_equal(relative, plain / np.vectorize(deepest.get)(labels).astype(np.float32))


@settings(max_examples=examples(60))
@given(label_images(), st.booleans(), st.booleans(), st.sampled_from([0, 3]))
def test_object_distances_are_those_of_torch_em(labels, directed, pieces, smallest):
    found = object_distances(labels, directed=directed, pieces=pieces, smallest=smallest)
    objects = slow.pieces(labels) if pieces else labels
    np.testing.assert_array_equal(found, slow.object_distances(objects, directed=directed, smallest=smallest))


@settings(max_examples=examples(60))
@given(label_images(), st.integers(1, 3))
def test_centres_are_those_of_panoptic_deeplab(labels, sigma):
    np.testing.assert_allclose(centre_heat(labels, sigma), slow.centre_heat(labels, sigma), rtol=1e-6)
    np.testing.assert_array_equal(centre_offsets(labels), slow.centre_offsets(labels))


# A ring whose mean is in its hole; below it, a line as thick as its boundary; a whole image of one cell.
RING = np.pad(np.ones((5, 7), int) - np.pad(np.ones((3, 3), int), ((1, 1), (2, 2))), 1)


@pytest.mark.parametrize(("labels", "centre"), [(RING, (1, 1)), (RING * 0 + 1, (3, 4))], ids=["ring", "all"])
def test_a_centre_outside_of_its_object_moves(labels, centre):
    distances = object_distances(labels)
    assert [*zip(*np.nonzero((distances[..., 1] == 0) & (labels > 0)), strict=True)] == [centre]
    np.testing.assert_array_equal(distances, slow.object_distances(labels, directed=False, smallest=0))


@pytest.mark.parametrize(
    ("targets", "least"),
    [
        ("affinities:mask=true", 0.99),
        ("boundary", 0.97),
        ("boundary:mode=thick", 0.95),
        ("instance-distance:signed=true", 0.95),
        ("object-distance:directed=true", 0.8),
        ("panoptic-deeplab", 1),
    ],
)
def test_real_cells_come_back(real, targets, least):
    """Of true targets; thin cells and those in pieces may be several ones, or parts of others."""
    recipe = Recipe(targets=targets)
    for labels in real:
        cells = recipe.targets[0].decode(compute_targets(labels, recipe))
        assert mean_iou(cells, labels) >= least


@pytest.mark.parametrize("given", ["", "0/0", "1", "1/2/3", "a/1", "1/1001", "1/0+1/0", [(0.5, 1)], [3], 7])
def test_offsets_that_are_none_are_refused(given):
    with pytest.raises(RecipeError, match=r"target option offsets is .*: give up to 100 different offsets"):
        Recipe(targets={"affinities": {"offsets": given}})


def mean_iou(found, labels):
    """The mean over true cells of the IoU with the one that covers most of it."""
    codes, shared = np.unique(labels.astype(np.int64) * 2**32 + found, return_counts=True)
    sizes, others = np.bincount(labels.ravel()), np.bincount(found.ravel())
    best = {}
    for label, other, pixels in zip(codes >> 32, codes & (2**32 - 1), shared, strict=True):
        if label and other:
            best[label] = max(best.get(label, 0), pixels / (sizes[label] + others[other] - pixels))
    return sum(best.values()) / len(set(labels.flat) - {0})


@settings(max_examples=examples(60))
@given(label_images(), st.integers(0, 2**32 - 1))
def test_the_mutex_watershed_takes_edges_by_their_strength(labels, seed):
    """Against the same told plainly, over all pixels: of noisy affinities, with nothing sure beforehand."""
    offsets = [(-1, 0), (0, -1), (0, -3), (2, 1)]
    rng = np.random.default_rng(seed)
    noise = rng.permutation(np.linspace(0.001, 0.3, labels.size * 4)).reshape(*labels.shape, 4)
    apart = 0.7 * affinities(labels, offsets, foreground=False) + noise
    found = affinities_to_labels(apart, offsets, labels > 0, sure=1, smallest=1)
    expected = mutex_watershed(apart, [*offsets, (1, 1), (1, -1)], labels > 0)
    pairs = set(zip(found.flat, expected.flat, strict=True))
    assert len(pairs) == len(set(found.flat)) == len(set(expected.flat))


def mutex_watershed(apart, offsets, foreground):
    edges = []
    for channel, (dy, dx) in enumerate(offsets):
        for y, x in np.argwhere(foreground):
            there = y + dy, x + dx
            if 0 <= there[0] < len(foreground) and 0 <= there[1] < foreground.shape[1] and foreground[there]:
                value = np.float32(apart[y, x, channel]) if channel < apart.shape[2] else np.float32(1)
                parts = value >= 0.5 and channel < apart.shape[2]
                edges.append((value if parts else 1 - value, parts, (y, x), there))
    cluster = {tuple(place): {tuple(place)} for place in np.argwhere(foreground)}
    enemies = set()
    for _, parts, one, other in sorted(edges, key=lambda edge: (-edge[0], sorted(map(tuple, edge[2:])))):
        ours, theirs = cluster[tuple(one)], cluster[other]
        apart_before = any((a, b) in enemies for a in ours for b in theirs)
        if parts and ours is not theirs:
            enemies |= {(a, b) for a in ours for b in theirs} | {(b, a) for a in ours for b in theirs}
        elif not parts and ours is not theirs and not apart_before:
            for place in theirs:
                cluster[place] = ours
            ours |= theirs
    numbers = {id(pixels): number for number, pixels in enumerate(cluster.values(), start=1)}
    labels = np.zeros(foreground.shape, int)
    for place, pixels in cluster.items():
        labels[place] = numbers[id(pixels)]
    return labels


@pytest.mark.parametrize("mode", BOUNDARIES)
def test_cells_that_touch_come_back_from_their_boundaries(mode):
    labels = np.zeros((24, 30), int)
    labels[2:12, 2:14], labels[2:12, 14:28], labels[13:22, 4:20] = 1, 2, 3
    cells = boundary_to_labels(boundary_classes(labels, mode), mode)
    assert len(set(cells.flat) - {0}) == 3
    assert mean_iou(cells, labels) > 0.85
    assert (mode in ("inner", "border-core")) <= (mean_iou(cells, labels) == 1)


def test_cells_too_thin_for_an_inside_are_cells():
    labels = np.zeros((5, 60), int)
    labels[1:3, 2:28], labels[1:3, 30:34] = 1, 2  # of which the second has too few pixels
    classes = boundary_classes(labels)
    assert INSIDE not in classes
    np.testing.assert_array_equal(boundary_to_labels(classes), labels == 1)
