"""Targets window by window equal those of the whole image bit by bit, for any recipe and any halo."""

from itertools import product

import numpy as np
import pytest
from conftest import THOROUGH, examples
from hypothesis import given, settings
from hypothesis import strategies as st

from cellprep import OVERLAP_RULES, Recipe, compute_targets, encode_rle, open_source, parse_rle, resolve_overlaps
from cellprep.core.cells import count_owners, restore_cells
from cellprep.core.overlaps import find_overlaps
from cellprep.core.rle import WindowedRuns
from cellprep.core.shapes import cutouts
from cellprep.core.targets import DISTANCES, FAMILIES
from cellprep.core.targets.by_window import CellsOfLabels, CellsOfRuns, TargetsByWindow
from cellprep.errors import TooLargeError


def whole(runs, recipe, areas=None):
    cells = resolve_overlaps(runs, recipe.overlap, areas)
    return {"labels": cells.labels, **compute_targets(cells, recipe)}, cells.hidden()


def by_window(targets, shape, side):
    """The arrays of an image, put together from windows."""
    corner = targets.at(slice(0, 1), slice(0, 1))
    arrays = {name: np.full((*shape, *part.shape[2:]), 77, part.dtype) for name, part in corner.items()}
    for top, left in product(*(range(0, size, side) for size in shape)):
        window = (slice(top, min(top + side, shape[0])), slice(left, min(left + side, shape[1])))
        for name, part in targets.at(*window).items():
            arrays[name][window] = part
    return arrays


def assert_the_same(runs, recipe, side, halo, areas=None):
    expected, hidden = whole(runs, recipe, areas)
    of_runs = CellsOfRuns(runs, recipe.overlap, areas, 2)
    labels, nobodys = expected["labels"], np.count_nonzero(expected["labels"] == 0)
    of_labels = CellsOfLabels(labels.__getitem__, runs.shape, recipe.overlap, of_runs.areas, nobodys)
    for cells in (of_runs, of_labels):
        found = by_window(TargetsByWindow(cells, recipe, recipe.made, halo=halo), runs.shape, side)
        assert list(found) == list(expected)
        for name, array in expected.items():
            assert found[name].dtype == array.dtype
            np.testing.assert_array_equal(found[name], array, err_msg=name)
    np.testing.assert_array_equal(of_runs.hidden(), hidden)


@st.composite
def annotations(draw):
    """Discs of all sizes, some over the edge, some empty, many overlapping."""
    height, width = draw(st.integers(1, 70)), draw(st.integers(1, 70))
    y, x = np.mgrid[:height, :width]
    disc = st.tuples(st.integers(-5, height + 5), st.integers(-5, width + 5), st.integers(0, 40), st.booleans())
    masks = []
    for top, left, radius, ring in draw(st.lists(disc, max_size=12)):
        apart = np.hypot(y - top, x - left)
        masks.append((apart <= radius) & ~(ring & (apart < radius - 2)))
    order = draw(st.sampled_from(["row", "column"]))
    return parse_rle(encode_rle(np.array(masks).reshape(-1, height, width), order), (height, width), order)


recipes = st.builds(
    Recipe,
    overlap=st.sampled_from(sorted(OVERLAP_RULES)),
    wall_width=st.sampled_from([1, 3, 5, 11]),
    distance=st.sampled_from(sorted(DISTANCES)),
    background_cell=st.booleans(),
    per_instance=st.booleans(),
)


@settings(max_examples=examples(60))
@given(annotations(), recipes, st.sampled_from([3, 8, 17, 32]), st.sampled_from([1, 2, 7]), st.booleans())
def test_windows_equal_the_whole_image(runs, recipe, side, halo, other_areas):
    areas = np.random.default_rng(0).integers(1, 999, len(runs)) if other_areas else None
    assert_the_same(runs, recipe, side, halo, areas)


CHOSEN = (
    "affinities:mask=true:ignore_background=true:offsets=3/-1",
    "boundary:mode=border-core",
    "instance-distance:signed=true",
    "object-distance:directed=true:pieces=false",
    "panoptic-deeplab:sigma=1",
)


@pytest.mark.parametrize("targets", [*(name for name in FAMILIES if name != "dwt"), *CHOSEN])
@settings(max_examples=examples(24))
@given(annotations(), st.sampled_from([8, 17]), st.sampled_from([1, 7]))
def test_windows_equal_the_whole_image_by_every_family(targets, runs, side, halo):
    assert_the_same(runs, Recipe(targets=targets), side, halo)


@pytest.mark.parametrize("overlap", sorted(OVERLAP_RULES))
@pytest.mark.parametrize("background_cell", [False, True])
def test_real_images_by_windows_equal_the_whole_ones(sartorius, overlap, background_cell):
    source = open_source(sartorius)
    for k, record in enumerate(source.images()):
        options = {"background_cell": background_cell, "per_instance": k > 0}
        recipe = Recipe(overlap=overlap, wall_width=3 + 2 * (k % 3), distance=sorted(DISTANCES)[k % 4], **options)
        assert_the_same(record.load().runs, recipe, side=200, halo=8)
        if k == 2:
            return


def test_many_cells_and_distances_beyond_any_halo():
    """More than 65,535 annotations; a window that none of them is near; one in the midst of a giant."""
    side = 600
    starts = [side * row + column + 1 for row in range(0, 300) for column in range(0, 300)]
    texts = [str(start) + " 1" for start in starts]
    giant = " ".join(f"{side * row + 301} 299" for row in range(301, 599))
    runs = parse_rle([*texts, giant], (side, side))
    for options in (
        ({}, {"background_cell": True}, {"per_instance": True}) if THOROUGH else ({"background_cell": True},)
    ):
        assert_the_same(runs, Recipe(**options), side=100, halo=16)


def test_what_does_not_fit_into_memory_is_one_line(monkeypatch):
    runs = parse_rle(["1 10"], (200, 200))
    targets = TargetsByWindow(CellsOfRuns(runs, "smaller-on-top"), Recipe(background_cell=True), halo=4)
    monkeypatch.setattr("cellprep.system.memory._memory", lambda: 200_000)
    with pytest.raises(TooLargeError, match=r"^the halo of its distances, [0-9]+ x [0-9]+ pixels, needs 0.0 GB"):
        targets.at(slice(100, 110), slice(100, 110))


@given(annotations(), st.sampled_from([5, 40]))
def test_overlaps_are_the_same_in_bands(runs, at_once):
    expected = find_overlaps(runs)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.core.overlaps._AT_ONCE", at_once)
        found = find_overlaps(runs)
    for name in ("first", "second", "pixels", "contested"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
        assert getattr(found, name).dtype == getattr(expected, name).dtype
    assert (found.covered_once, found.covered_often) == (expected.covered_once, expected.covered_often)


@given(annotations())
def test_cutouts_are_the_same_in_pieces(runs):
    expected = list(cutouts(runs))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.core.rle.runs.RUNS_AT_ONCE", 30)
        found = list(cutouts(runs))
    assert [cutout.origin for cutout in found] == [cutout.origin for cutout in expected]
    for ours, theirs in zip(found, expected, strict=True):
        np.testing.assert_array_equal(ours.mask, theirs.mask)


@given(annotations(), st.sampled_from(sorted(OVERLAP_RULES)))
def test_owners_are_counted_by_windows(runs, rule):
    cells = resolve_overlaps(runs, rule)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.core.windows._SIDE", 13)
        hidden, nobodys = count_owners(WindowedRuns.of(runs), rule, runs.areas, threads=2)
    np.testing.assert_array_equal(hidden, cells.hidden())
    assert nobodys == (cells.labels == 0).sum()


@given(runs=annotations(), rule=st.sampled_from(sorted(OVERLAP_RULES)), data=st.data())
def test_the_cells_of_a_part_are_ranked_as_in_the_whole(runs, rule, data):
    """A part with few of many cells ranks only those, whose order is what matters."""
    cells = resolve_overlaps(runs, rule)
    height, width = runs.shape
    top, left = data.draw(st.integers(0, height - 1)), data.draw(st.integers(0, width - 1))
    part = cells.labels[top : top + data.draw(st.integers(1, 70)), left : left + data.draw(st.integers(1, 70))]
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("cellprep.core.cells._PIXELS_A_CELL", 10**9)
        few = restore_cells(part, cells.areas, rule)
        patch.setattr("cellprep.core.cells._PIXELS_A_CELL", 1e-9)
        every = restore_cells(part, cells.areas, rule)
    assert few.ranks.dtype == every.ranks.dtype == cells.ranks.dtype
    for ours, theirs in zip(dense(few.ranks), dense(every.ranks), strict=True):
        np.testing.assert_array_equal(ours, theirs)
    np.testing.assert_array_equal(few.labels, every.labels)
    np.testing.assert_array_equal(few.areas, every.areas)


def dense(ranks):
    """Return ranks as indices among those that occur, and whether the background is among them."""
    values, places = np.unique(ranks, return_inverse=True)
    return places, values[:1] == 0


def test_an_image_of_one_window_takes_the_memory_that_it_needs(monkeypatch):
    runs = parse_rle(["1 6 9 6 17 6"], (4, 8))
    monkeypatch.setattr("cellprep.system.memory._memory", lambda: 4 * 8 * 30)
    arrays = TargetsByWindow(CellsOfRuns(runs, "smaller-on-top"), Recipe()).at(slice(0, 4), slice(0, 8))
    assert arrays["energy"].max() > 0
