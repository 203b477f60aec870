import warnings
from pathlib import Path
from types import SimpleNamespace

import cv2
import decode_reference as reference
import numpy as np
import pytest
from conftest import masks
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from scipy.ndimage import label

from cellprep import DECODERS, Recipe, compute_targets, energy_to_labels, open_source, resolve_overlaps
from cellprep.core.cells import cells_from_labels
from cellprep.core.decode import find_decoder, joins, order, parse_options, walls
from cellprep.core.decode.contacts import find_contacts, pair_places
from cellprep.core.decode.growing import grow
from cellprep.core.decode.joins import join_pieces
from cellprep.core.decode.maps import read_maps
from cellprep.core.decode.numbering import number_in_raster_order
from cellprep.core.decode.order import order_by_shape
from cellprep.core.decode.rim import lost_rim, lost_width, trust_level_0
from cellprep.core.decode.seeds import contradictions, find_seeds
from cellprep.core.decode.tops import Tops, smooth
from cellprep.core.rle import encode_rle, parse_rle
from cellprep.core.scores import score_image
from cellprep.core.targets.energy import energy_levels
from cellprep.errors import RecipeError, UsageError

SQUARE = np.ones((3, 3), bool)


def targets_of(stack, recipe=None):
    cells = resolve_overlaps(parse_rle(encode_rle(stack), stack.shape[1:]))
    return cells.labels, compute_targets(cells, recipe)


def decode(targets, decoder="walls", with_walls=False, options=None, **changed):
    found = {**targets, **changed}
    semseg = found["semseg"]
    given_walls = semseg[..., 1] if with_walls else None
    mask = semseg[..., 0] + semseg[..., 1]
    return energy_to_labels(found["energy"], found["uvec"], mask, given_walls, decoder, options)


def rectangle(shape, top, bottom, left, right):
    mask = np.zeros(shape, bool)
    mask[top:bottom, left:right] = True
    return mask


def disc(shape, y, x, radius):
    ys, xs = np.indices(shape)
    return (ys - y) ** 2 + (xs - x) ** 2 <= radius**2


seed_images = arrays.arrays(
    np.int32, arrays.array_shapes(min_dims=2, max_dims=2, max_side=9), elements=st.integers(0, 4)
)


# The steps against their slow restatements


CUTS = [
    {},
    {"min_size": 3, "min_hole": 4},
    {"level": 0, "min_size": 0, "min_hole": 0},
    {"level": 2, "min_size": 1, "min_hole": 2, "dilation": 5},
    {"min_hole": 10**9, "dilation": 1},
]


@given(
    arrays.arrays(np.uint8, st.tuples(st.integers(1, 24), st.integers(1, 24)), elements=st.integers(0, 3)),
    st.integers(0, 2**32 - 1),
    st.sampled_from(CUTS),
)
def test_the_original_cut_is_the_authors(energy, seed, options):
    rng = np.random.default_rng(seed)
    energy = np.where(rng.random(energy.shape) < rng.random(), 3, energy)  # large pieces, some with holes
    mask = rng.random(energy.shape) < rng.choice([0.9, 1])
    expected = reference.numbered(reference.original(energy, mask, **options))
    np.testing.assert_array_equal(energy_to_labels(energy, None, mask, None, "original", options), expected)


def test_the_original_cut_is_the_authors_on_real_images(sartorius):
    for image in list(open_source(sartorius).images())[::64]:
        cells = resolve_overlaps(image.load().runs)
        energy, labels = compute_targets(cells)["energy"][:260, :350], cells.labels[:260, :350]
        noisy = energy * (np.random.default_rng(0).random(energy.shape) < 0.9)
        for maps, options in ((energy, {}), (noisy, {}), (noisy, CUTS[1])):
            expected = number_in_raster_order(reference.original(maps, labels, **options))
            found = energy_to_labels(maps, None, labels, None, "original", options)
            np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("options", [{}, {"smoothing": 0, "depth": 2, "ratio": 0.5}, {"depth": 0, "ratio": 1}], ids=str)
@given(energy=arrays.arrays(np.uint8, st.tuples(st.integers(1, 11), st.integers(1, 11)), elements=st.integers(0, 6)))
def test_tops_are_parted_where_every_way_between_them_sinks(options, energy):
    enlarged = np.kron(energy, np.ones((3, 3), np.uint8))[: 3 * len(energy) - 1]  # wider than the smoothing
    area = enlarged > 0
    decoder = Tops(**options)
    height = smooth(np.where(area, enlarged, 0).astype(np.float32), decoder.smoothing) * area
    parts = decoder.part(enlarged, area)
    survivors = reference.surviving_tops(height, decoder.depth, np.float32(decoder.ratio))
    assert sorted(parts[at] for at in survivors) == list(range(1, parts.max() + 1))
    np.testing.assert_array_equal(parts > 0, area)
    assert all(label(parts == k, SQUARE)[1] == 1 for k in range(1, parts.max() + 1))


def test_two_discs_that_overlap_are_two_and_a_long_cell_is_one():
    discs = disc((40, 60), 20, 18, 8) | disc((40, 60), 20, 32, 8)
    rod = disc((40, 60), 20, 12, 6) | disc((40, 60), 20, 48, 6) | rectangle((40, 60), 14, 27, 12, 49)
    for mask, count in ((discs, 2), (rod, 1)):
        energy = compute_targets(cells_from_labels(mask.astype(int)))["energy"]  # no wall separates them
        found = energy_to_labels(energy, None, mask, decoder="tops")
        assert found.max() == count
        np.testing.assert_array_equal(found > 0, mask)
    assert found[20, 12] == found[20, 48] == 1


def test_the_original_cut_step_by_step():
    energy = np.full((70, 30), 2, np.uint8)
    energy[:, 12] = 0  # between two pieces, of more pixels than a small hole,
    energy[5, 5] = 1  # a small hole,
    energy[10:18, 2:10] = 0  # one of 64 pixels,
    energy[:, 24:] = 0
    energy[2:6, 26:30] = 2  # and a piece of 16 pixels
    found = energy_to_labels(energy, None, np.ones(energy.shape), decoder="original")
    assert found[5, 5] == 1
    assert (found[11:17, 3:9] == 0).all()
    assert (found[:, 13:25] == 2).all()  # dilated by a pixel, beyond what is above level 1
    assert found[0, 12] == 2  # the later one on top
    assert not found[:, 25:].any()


@given(seed_images)
def test_numbers_follow_rows(labels):
    found = number_in_raster_order(labels)
    np.testing.assert_array_equal(found, reference.numbered(labels))
    assert found.dtype == np.uint16


def test_many_labels_need_more_bits():
    labels = np.arange(70_000, 0, -1, np.int32).reshape(700, 100)
    found = number_in_raster_order(labels)
    assert found.dtype == np.uint32
    np.testing.assert_array_equal(found.ravel(), np.arange(1, 70_001))


@given(seed_images, st.integers(0, 2**32 - 1))
def test_contacts_are_those_of_looking_at_each_pixel(seeds, seed):
    wall = (seeds == 0) | (np.random.default_rng(seed).random(seeds.shape) < 0.2)
    seeds = np.where(wall, 0, seeds).astype(np.int32)
    members, own = reference.contacts(seeds, wall)
    contacts = find_contacts(seeds, wall)
    pairs = list(zip(contacts.a.tolist(), contacts.b.tolist(), strict=True))
    assert pairs == sorted(members)
    for k, pair in enumerate(pairs):
        places = contacts.pixel[contacts.contact == k]
        found = sorted(zip(contacts.y[places].tolist(), contacts.x[places].tolist(), strict=True))
        if sum(len(pixels) for pixels in members.values()) and found != sorted(members[pair]):
            # of four seeds next to a pixel, any between the lowest and the highest may be the middle one
            assert any(len(reference.beside(seeds, y, x)) > 3 for y, x in members[pair])
        else:
            assert (contacts.length[k], contacts.own[k]) == (len(found), own[pair])


def contacts_of(shape, seed):
    """Contacts of random seeds with walls and background between them, and the mask."""
    rng = np.random.default_rng(seed)
    seeds = np.kron(rng.integers(0, 5, shape), np.ones(rng.integers(1, 4, 2), int))
    wall = (seeds == 0) & (rng.random(seeds.shape) < 0.8) | (rng.random(seeds.shape) < 0.2)
    seeds = np.where(wall, 0, seeds).astype(np.int32)
    return find_contacts(seeds, wall), (seeds > 0) | wall


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), st.integers(0, 2**32 - 1))
def test_evidence_of_shape_is_that_of_looking_at_each_pixel(shape, seed):
    contacts, mask = contacts_of(shape, seed)
    slow, frame = reference.Shape(contacts, mask), order._Frame(contacts, mask)
    ends = frame.ends()
    notch, blunt = frame.corners(5), frame.corners(4)
    np.testing.assert_array_equal(notch, slow.corners(5))
    np.testing.assert_array_equal(blunt, slow.corners(4))
    shares, enclosures = frame.share_at_ends(ends), frame.enclosures(ends)
    np.testing.assert_allclose(shares, slow.share_at_ends(), atol=1e-12)
    np.testing.assert_array_equal(enclosures, slow.enclosures())
    leaning, bulge = order._leaning(contacts), order._bulge(contacts)
    np.testing.assert_array_equal(leaning, slow.leaning())
    expected = np.array(slow.bulge())
    np.testing.assert_allclose(bulge[~np.isnan(expected)], expected[~np.isnan(expected)], atol=1e-9)
    whole = 0.36 * notch + 0.78 * np.sign(blunt) + 4.7 * shares + 6 * enclosures + 2 * leaning + 3.5 * bulge
    np.testing.assert_allclose(order_by_shape(contacts, mask), whole, atol=1e-9)


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), st.integers(0, 2**32 - 1))
def test_joins_are_weighed_as_one_by_one(shape, seed):
    """With limits as small as the images."""
    contacts, mask = contacts_of(shape, seed)
    below = np.random.default_rng(seed).normal(0, 4, len(contacts))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(joins, "_SMALLEST", 4)
        patch.setattr(joins, "_FARTHEST", 3)
        found = joins._find_candidates(contacts, below)
        odds = joins._odds(contacts, found)
    triples = list(zip(found.small.tolist(), found.large.tolist(), found.top.tolist(), strict=True))
    expected = reference.candidates(contacts, below, 4, 1.5, 3, -3)
    equal = {(b, a, top) for a, b, top in expected if contacts.area[a] == contacts.area[b]}
    assert len({*triples}) == len(triples)
    assert {*triples} | equal == expected | equal
    pixels = reference.Shape(contacts, mask).pixels
    for k, triple in enumerate(triples):
        cuts = [pixels[found.small_cut[k]], pixels[found.large_cut[k]]]
        slow = reference.odds(contacts, *triple, found.small_below[k], found.large_below[k], cuts)
        assert odds[k] == pytest.approx(slow) or (odds[k] == -np.inf and slow <= -0.5)


@given(st.tuples(st.integers(1, 7), st.integers(1, 7)), st.integers(0, 2**32 - 1))
def test_contacts_are_looked_up_by_their_seeds(shape, seed):
    contacts, _ = contacts_of(shape, seed)
    places = {pair: k for k, pair in enumerate(zip(contacts.a.tolist(), contacts.b.tolist(), strict=True))}
    first, second = np.indices((5, 5)).reshape(2, -1)
    first, second = first[first < len(contacts.area)], second[first < len(contacts.area)]
    first, second = first[second < len(contacts.area)], second[second < len(contacts.area)]
    found, known = pair_places(contacts, first, second)
    expected = [places.get((min(pair), max(pair))) for pair in zip(first.tolist(), second.tolist(), strict=True)]
    assert known.tolist() == [place is not None for place in expected]
    assert found[known].tolist() == [place for place in expected if place is not None]


@given(seed_images, st.integers(0, 2**32 - 1))
def test_grows_as_pixel_by_pixel(labels, seed):
    within = np.random.default_rng(seed).random(labels.shape) < 0.8
    labels = np.where(np.random.default_rng(seed + 1).random(labels.shape) < 0.3, labels, 0).astype(np.int32)
    np.testing.assert_array_equal(grow(labels, within), reference.grow(labels, within))


@given(st.integers(0, 2**32 - 1), st.integers(2, 9), st.integers(0, 20))
def test_merges_as_one_by_one(seed, pieces, pairs):
    rng = np.random.default_rng(seed)
    first, second = rng.integers(1, pieces + 1, (2, pairs))
    odds = rng.integers(0, 6, pairs).astype(float)  # with ties
    walled = [tuple(sorted(rng.integers(1, pieces + 1, 2))) for _ in range(3)]

    class Walled:
        area = np.ones(pieces + 1)
        own = np.ones(len(walled))
        a, b = np.array(walled).T

    found = joins._merge(Walled, first, second, odds)
    assert found.tolist() == reference.merge(pieces + 1, first, second, odds, walled)


@given(st.lists(st.tuples(st.integers(0, 4), st.sampled_from([0.0, 3.5, 199.0, 200.0, 203.5, 900.0])), max_size=12))
def test_near_pairs(members):
    values, positions = np.array(members).reshape(-1, 2).T
    one, other = joins._near_pairs(values.astype(np.int64), positions)
    found = sorted(tuple(sorted(pair)) for pair in zip(one.tolist(), other.tolist(), strict=True))
    pairs = [(i, j) for j in range(len(members)) for i in range(j)]
    assert found == sorted(
        (i, j) for i, j in pairs if values[i] == values[j] and abs(positions[i] - positions[j]) <= 200
    )


@given(seed_images)
def test_gaps_are_those_of_all_pairs_of_pixels(seeds):
    contacts = find_contacts(seeds, seeds == 0)
    first, second = np.triu_indices(len(contacts), 1)
    pixels = [
        [(contacts.y[p], contacts.x[p]) for p in contacts.pixel[contacts.contact == k]] for k in range(len(contacts))
    ]
    if len(first):
        expected = [reference.mean_gap(pixels[i], pixels[j]) for i, j in zip(first, second, strict=True)]
        np.testing.assert_allclose(joins._mean_gap(contacts, first, second), expected)
        least = [reference.least_gap(pixels[i], pixels[j]) for i, j in zip(first, second, strict=True)]
        np.testing.assert_allclose(joins._least_gap(contacts, first, second), least, atol=1e-9)


# What each step is for, drawn by hand


def overlapping_discs():
    return np.stack([disc((40, 52), 20, 18, 14), disc((40, 52), 20, 36, 10)])


def test_the_wall_belongs_to_the_cell_below():
    labels, targets = targets_of(overlapping_discs())
    np.testing.assert_array_equal(decode(targets), labels)
    assert (decode(targets, "watershed") != labels).any()


def test_shape_tells_the_cell_on_top_whatever_the_sizes():
    """A large disc on top of a small one, which no rule makes but an order of annotation."""
    cells = resolve_overlaps(parse_rle(encode_rle(overlapping_discs()[::-1]), (40, 52)), "later-on-top")
    maps = compute_targets(cells)
    found = read_maps(maps["energy"], maps["uvec"], cells.labels > 0)
    contacts = find_contacts(find_seeds(found), found.walls)
    assert cells.labels[20, 18] == 2  # the large one, which rows meet first: the first seed, on top
    assert order_by_shape(contacts, found.mask).tolist() < [0]
    cells = resolve_overlaps(parse_rle(encode_rle(overlapping_discs()), (40, 52)), "later-on-top")
    maps = compute_targets(cells)
    found = read_maps(maps["energy"], maps["uvec"], cells.labels > 0)
    assert order_by_shape(find_contacts(find_seeds(found), found.walls), found.mask).tolist() > [0]


def crossing():
    """A long cell, and a smaller one that lies across it, so that little of it is left on one side."""
    return np.stack([rectangle((60, 90), 23, 37, 3, 54), rectangle((60, 90), 4, 56, 44, 50)])


@pytest.mark.parametrize("turned", [False, True])
def test_joins_the_pieces_of_a_cell_below_another(turned):
    stack = crossing().swapaxes(1, 2) if turned else crossing()
    labels, targets = targets_of(stack)
    assert label(labels == 1, SQUARE)[1] == 2
    found = decode(targets)
    assert found.max() == 2
    assert score_image(found, labels).kaggle_precision == 1


def test_joins_nothing_across_a_wall_that_only_two_pieces_can_have_made():
    """The same, but the two pieces belong to different cells, which meet next to the one on top."""
    stack = np.stack(
        [rectangle((50, 90), 18, 40, 3, 47), rectangle((50, 90), 18, 40, 47, 87), rectangle((50, 90), 4, 26, 42, 52)]
    )
    labels, targets = targets_of(stack)
    found = decode(targets)
    assert found.max() == 3
    assert score_image(found, labels).matched[0] == 3


def test_no_join_of_whole_cells_beside_a_larger_one():
    stack = np.stack([rectangle((60, 60), 20, 40, 5, 55), disc((60, 60), 12, 20, 9), disc((60, 60), 48, 38, 9)])
    labels, targets = targets_of(stack)
    assert score_image(decode(targets), labels).kaggle_precision == 1


def test_a_cell_within_another_lies_on_top():
    labels, targets = targets_of(np.stack([disc((60, 60), 30, 30, 28), disc((60, 60), 33, 28, 4)]))
    np.testing.assert_array_equal(decode(targets), labels)


def test_small_cells_that_touch_nothing_stay():
    labels = np.zeros((12, 12), int)
    labels[1, 1], labels[4:6, 4:6], labels[9:11, 2:9] = 1, 2, 3
    targets = compute_targets(cells_from_labels(labels))
    np.testing.assert_array_equal(decode(targets), labels)


def test_a_lost_wall_is_found_by_the_energy():
    stack = np.stack([rectangle((30, 60), 2, 28, 2, 30), rectangle((30, 60), 5, 25, 30, 58)])
    labels, targets = targets_of(stack)
    energy = targets["energy"].copy()
    gap = np.s_[12:18, 28:31]
    energy[gap] = np.where(targets["semseg"][gap][..., 1] == 1, 1, energy[gap])
    assert label(energy > 0, SQUARE)[1] == 1
    found = decode(targets, energy=energy)
    assert score_image(found, labels).matched[5] == 2  # an IoU of 0.75
    maps = read_maps(energy, targets["uvec"], labels > 0)
    wrong = contradictions(energy, maps.mask & ~maps.walls)
    assert wrong.any()
    assert not wrong[:, :26].any()


def test_evidence_of_contacts_is_summed_whichever_cell_is_named_first():
    contacts = SimpleNamespace(area=np.full(3, 9), a=np.array([1, 2, 1]), b=np.array([2, 1, 2]))
    evidence = walls.order_cells(contacts, np.array([0.5, 0.25, 2.0]), np.arange(3))
    np.testing.assert_allclose(evidence, 1.1 * 2.25 * np.array([1, -1, 1]))


def test_a_seed_in_doubt_keeps_what_touches_its_walls():
    """If a seed ended at level 2, it would meet no wall, and the owner of the walls would be unknown."""
    labels, targets = targets_of(overlapping_discs())
    energy = targets["energy"].copy()
    energy[20, 14] = 1  # in the middle of the cell below
    assert contradictions(energy, targets["semseg"][..., 0] == 1).any()
    np.testing.assert_array_equal(decode(targets, energy=energy), labels)


@given(masks())
def test_true_maps_have_no_contradictions(stack):
    _, targets = targets_of(stack)
    assert not contradictions(targets["energy"], targets["semseg"][..., 0] == 1).any()


def eroded(targets, pixels, shape=cv2.MORPH_CROSS):
    """Take the rim of all cells away, with all that lies there."""
    inside = 1 - targets["semseg"][..., 2]
    mask = cv2.erode(inside, cv2.getStructuringElement(shape, (3, 3)), iterations=pixels)
    semseg = np.dstack([targets["semseg"][..., :2] * mask[..., None], 1 - mask])
    return {"energy": targets["energy"] * mask, "uvec": targets["uvec"] * mask[..., None], "semseg": semseg}


@pytest.mark.parametrize("shape", [cv2.MORPH_CROSS, cv2.MORPH_RECT], ids=["cross", "square"])
@pytest.mark.parametrize("pixels", [1, 2])
@pytest.mark.parametrize("with_walls", [False, True])
def test_a_lost_rim_is_given_back(pixels, shape, with_walls):
    stack = np.stack([disc((90, 130), 42, 45, 36), disc((90, 130), 42, 95, 27)])
    labels, targets = targets_of(stack)
    less = eroded(targets, pixels, shape)
    found = decode(less, with_walls=with_walls)
    assert found.max() == 2
    assert score_image(found, labels).matched[9] == 2  # an IoU of 0.95


def test_a_lost_rim_of_cells_apart():
    """Without walls nothing but the levels tells what a rim should have."""
    labels, targets = targets_of(np.stack([disc((90, 130), 42, 45, 30), disc((90, 130), 42, 102, 20)]))
    assert not (targets["semseg"][..., 1] == 1).any()
    for pixels in (1, 2, 3):
        less = eroded(targets, pixels)
        maps = read_maps(less["energy"], less["uvec"], 1 - less["semseg"][..., 2])
        assert lost_width(maps) == pixels
        rim = lost_rim(maps)
        assert not (rim & maps.mask).any()
        assert ((rim | maps.mask) != (labels > 0)).mean() < 0.005
        noise = np.random.default_rng(0).choice([-1, 0, 0, 0, 1], labels.shape) * maps.mask
        assert lost_width(read_maps(maps.energy + noise, less["uvec"], maps.mask, 0 * labels)) == pixels


OTHER_BINS = [
    Recipe().bins,
    Recipe().bins[:8],
    (0.955, 1.369, 1.91),
    (0.955, 5.0, 9.0),
    (2.5, 4.0, 8.0),
    (0.25, 0.5, 0.75, 1.0, 1.25, 1.5, 1.75, 2.0),
    tuple(np.arange(1, 40) / 2),
]


@given(masks(), st.sampled_from(OTHER_BINS), st.booleans())
def test_rims_of_true_maps_are_true(stack, bins, with_walls):
    labels, targets = targets_of(np.kron(stack, np.ones((9, 9), bool)), Recipe(bins=bins))
    given_walls = targets["semseg"][..., 1] if with_walls else None
    maps = read_maps(targets["energy"], targets["uvec"], labels > 0, given_walls)
    assert lost_width(maps) == 0
    assert trust_level_0(maps) is maps


def test_mask_beyond_the_cells_stays_background():
    labels, targets = targets_of(overlapping_discs())
    wide = np.ones(labels.shape, np.uint8)
    found = energy_to_labels(targets["energy"], targets["uvec"], wide)
    assert score_image(found, labels).matched[8] == 2  # an IoU of 0.9
    assert found.max() == 2


@pytest.mark.parametrize("with_walls", [False, True])
def test_mask_beyond_the_cells_is_told_by_levels_where_vectors_do_not(with_walls):
    labels, targets = targets_of(np.stack([disc((90, 130), 42, 45, 36), disc((90, 130), 42, 95, 27)]))
    wide = cv2.dilate((labels > 0).astype(np.uint8), np.ones((5, 5)))
    given_walls = targets["semseg"][..., 1] if with_walls else None
    found = energy_to_labels(targets["energy"], None, wide, given_walls)
    assert found.max() == 2
    assert score_image(found, labels).matched[9] == 2  # an IoU of 0.95
    late = compute_targets(cells_from_labels(labels), Recipe(bins=(2.5, 4.0, 8.0)))  # level 0 is cell as well
    assert (energy_to_labels(late["energy"], None, labels > 0) > 0).sum() == (labels > 0).sum()


# Any input


@pytest.mark.parametrize("decoder", DECODERS)
@pytest.mark.parametrize("with_walls", [False, True])
@given(stack=masks(max_side=20))
def test_decodes_any_targets(decoder, with_walls, stack):
    labels, targets = targets_of(stack)
    found = decode(targets, decoder, with_walls)
    assert (found.shape, found.dtype) == (labels.shape, np.uint16)
    np.testing.assert_array_equal(found, reference.numbered(found))
    if decoder != "original":
        assert not found[labels == 0].any()


@pytest.mark.parametrize("decoder", DECODERS)
@given(st.data())
def test_decodes_any_maps(decoder, data):
    shape = data.draw(st.tuples(st.integers(1, 12), st.integers(1, 12)))
    energy = data.draw(arrays.arrays(np.uint8, shape, elements=st.integers(0, 4)))
    mask = data.draw(arrays.arrays(st.sampled_from([np.bool_, np.uint8, np.int64, np.float32]), shape))
    uvec = data.draw(st.none() | st.just(np.random.default_rng(0).standard_normal((*shape, 2)).round()))
    wall = data.draw(st.none() | arrays.arrays(np.uint8, shape, elements=st.integers(0, 1)))
    inside = np.nan_to_num(mask.astype(float)) > 0
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = energy_to_labels(energy, uvec, mask, wall, decoder)
    elsewhere = np.where(inside, energy, 255 - energy)
    np.testing.assert_array_equal(energy_to_labels(elsewhere, uvec, mask, wall, decoder), found)
    if decoder != "original":
        assert not found[~inside].any()


@pytest.mark.parametrize("decoder", ["original", "watershed", "walls"])
def test_walls_separate_cells_that_touch(decoder):
    stack = np.stack([rectangle((30, 40), 5, 25, 4, 20), rectangle((30, 40), 5, 25, 20, 36)])
    found = decode(targets_of(stack)[1], decoder)
    assert found.max() == 2
    assert found[15, 10] != found[15, 30]


@pytest.mark.parametrize("decoder", ["watershed", "walls", "tops"])
@given(stack=masks(max_side=20))
def test_labels_are_connected_but_for_joins(decoder, stack):
    _, targets = targets_of(stack)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(walls, "join_pieces", lambda contacts, shape: np.arange(len(contacts.area)))
        found = decode(targets, decoder)
    for k in range(1, int(found.max()) + 1):
        assert label(found == k, SQUARE)[1] == 1


def turn(targets, turns, flip):
    """Turn maps, and the vectors in them."""
    turned = {name: np.rot90(array, turns) for name, array in targets.items()}
    y, x = np.moveaxis(turned["uvec"], -1, 0)
    for _ in range(turns):
        y, x = -x, y
    turned["uvec"] = np.stack([y, x], axis=-1)
    if flip:
        turned = {name: array[::-1] for name, array in turned.items()}
        turned["uvec"] = turned["uvec"] * [-1, 1]
    return turned


@pytest.mark.parametrize("flip", [False, True])
@pytest.mark.parametrize("turns", range(4))
@pytest.mark.parametrize("stack", [overlapping_discs(), crossing()], ids=["discs", "crossing"])
@pytest.mark.parametrize("decoder", ["original", "walls"])
def test_turns_with_the_image(decoder, stack, turns, flip):
    _, targets = targets_of(stack)
    expected = np.rot90(decode(targets, decoder), turns)
    expected = number_in_raster_order((expected[::-1] if flip else expected).astype(np.int32))
    np.testing.assert_array_equal(decode(turn(targets, turns, flip), decoder), expected)


@pytest.mark.parametrize("decoder", DECODERS)
def test_a_cell_that_fills_the_image(decoder):
    _, targets = targets_of(np.ones((1, 9, 11), bool))
    assert (decode(targets, decoder) == (decoder != "original")).all()  # the author takes the lowest value for ground
    _, targets = targets_of(np.zeros((0, 9, 11), bool))
    assert not decode(targets, decoder).any()


@pytest.mark.parametrize(
    "recipe",
    [Recipe(background_cell=True), Recipe(distance="scipy"), Recipe(wall_width=5), Recipe(bins=(2.5, 4.0, 8.0))],
    ids=["background", "exact", "wide", "late-bins"],
)
@pytest.mark.parametrize("with_walls", [False, True])
def test_other_recipes(recipe, with_walls):
    labels, targets = targets_of(overlapping_discs(), recipe)
    assert score_image(decode(targets, with_walls=with_walls), labels).matched[6] == 2  # an IoU of 0.8


def test_refuses_what_does_not_fit():
    energy, vectors = np.zeros((3, 4), np.uint8), np.zeros((3, 4, 2))
    with pytest.raises(UsageError, match=r"mask has shape \(4, 3\), and energy \(3, 4\): mask must be \(3, 4\)"):
        energy_to_labels(energy, vectors, energy.T)
    with pytest.raises(UsageError, match=r"uvec has shape \(2, 3, 4\)"):
        energy_to_labels(energy, vectors.transpose(2, 0, 1), energy)
    with pytest.raises(UsageError, match="walls has shape"):
        energy_to_labels(energy, vectors, energy, energy[:2])
    with pytest.raises(UsageError, match=r"energy has shape \(0, 4\)"):
        energy_to_labels(energy[:0], None, energy[:0])
    with pytest.raises(RecipeError, match="decoder 'best' is unknown: use one of original, watershed, walls"):
        energy_to_labels(energy, vectors, energy, decoder="best")


def test_thousands_of_cells_on_one_stay_apart():
    """The number of pairs next to a cell grows with the square of their number; that of joins must not."""
    labels = np.ones((960, 960), int)
    tile = disc((24, 24), 12, 12, 8)
    for k in range(1600):
        top, left = 24 * (k // 40), 24 * (k % 40)
        labels[top : top + 24, left : left + 24][tile] = k + 2
    targets = compute_targets(cells_from_labels(labels))
    assert decode(targets).max() == 1601


def test_join_pieces_without_contacts():
    seeds = np.array([[1, 0, 0, 2]], np.int32)
    assert join_pieces(find_contacts(seeds, np.zeros((1, 4), bool)), np.zeros(0)).tolist() == [0, 1, 2]


# Real annotations


@pytest.fixture(scope="module")
def real(sartorius):
    """Two images of each type, with their targets."""
    chosen = {}
    for image in open_source(sartorius).images():
        if len(chosen.setdefault(image.cell_type, [])) < 2:
            cells = resolve_overlaps(image.load().runs)
            chosen[image.cell_type].append((cells.labels, compute_targets(cells)))
    return chosen


def precision(images, **options):
    return np.mean([score_image(decode(targets, **options), labels).kaggle_precision for labels, targets in images])


@pytest.mark.parametrize("with_walls", [False, True])
def test_real_images_come_back(real, with_walls):
    everything = [image for images in real.values() for image in images]
    found = precision(everything, with_walls=with_walls)
    assert found > 0.95
    assert found > precision(everything, decoder="watershed") > precision(everything, decoder="original")


@pytest.mark.parametrize("bins", OTHER_BINS, ids=len)
def test_rims_of_real_true_maps_are_true(real, bins):
    for labels, targets in (image for images in real.values() for image in images):
        energy = energy_levels(targets["distance"], bins)
        maps = read_maps(energy, targets["uvec"], labels > 0)
        assert lost_width(maps) == 0
        assert trust_level_0(maps) is maps


@pytest.mark.parametrize("pixels", [1, 2, 3])
def test_real_images_without_their_rims(real, pixels):
    less = [(labels, eroded(targets, pixels)) for images in real.values() for labels, targets in images[:1]]
    assert precision(less) > precision(less, decoder="original") + 0.05


def test_real_images_with_wrong_levels(real):
    """Walls that are given stay walls, whatever the levels."""
    noisy = []
    for labels, targets in (images[0] for images in real.values()):
        moved = targets["energy"] + np.random.default_rng(0).choice([-1, 0, 0, 0, 0, 0, 0, 0, 0, 1], labels.shape)
        noisy.append((labels, {**targets, "energy": np.clip(moved, 0, 16)}))
    assert precision(noisy, with_walls=True) > precision(noisy, decoder="watershed", with_walls=True)
    assert precision(noisy) > precision(noisy, decoder="original")


def test_real_images_turn(real):
    for images in real.values():
        _, targets = images[0]
        turned = decode(turn(targets, 1, True))
        expected = np.rot90(decode(targets), 1)[::-1]
        assert score_image(turned, expected).kaggle_precision > 0.98


# Options


@pytest.mark.parametrize(
    ("name", "texts", "problem"),
    [
        ("tops", ["level=2"], "decoder tops has no option 'level': its options are smoothing, depth, ratio"),
        ("original", ["dilation=4"], "decoder option dilation is 4: give an odd number from 1 to 99"),
        ("original", ["level=1.5"], "decoder option level is 1.5: give a whole number from 0 to 254"),
        ("walls", ["max_rim=4"], "decoder option max_rim is 4: give a whole number from 0 to 3"),
        ("tops", ["ratio=nan"], "decoder option ratio is nan: give a number from 0 to 1"),
        ("tops", ["ratio"], "decoder option 'ratio' is not a name and a number: give name=value"),
        ("tops", ["ratio=1", "ratio=1"], "decoder option ratio is given twice"),
    ],
    ids=str,
)
def test_options_that_cannot_be_are_refused(name, texts, problem):
    with pytest.raises(RecipeError, match=problem):
        find_decoder(name, parse_options(texts))


def test_options_do_what_they_say():
    small = np.zeros((30, 30), np.uint8)
    small[2:4, 2:14] = small[10:14, 2:14] = 1  # two cells of 24 and 48 pixels
    assert energy_to_labels(small, None, small, decoder="watershed", options={"min_seed": 25}).max() == 1
    _, targets = targets_of(overlapping_discs())
    assert decode(targets).max() == 2
    assert decode(targets, options={"min_piece": 400}).max() == 1
    less = eroded(compute_targets(cells_from_labels(disc((90, 90), 45, 45, 30).astype(int))), 2)
    assert [(decode(less, options={"max_rim": width}) > 0).sum() > (less["energy"] > 0).sum() for width in (0, 2)] == [
        False,
        True,
    ]


@pytest.mark.parametrize("decoder", DECODERS)
def test_the_defaults_are_possible_and_told(decoder):
    """The table of docs/decoding.md has every option, its default, its values and what it is."""
    text = (Path(__file__).parent.parent / "docs" / "decoding.md").read_text(encoding="utf-8")
    made = DECODERS[decoder]()
    for name, known in made.options().items():
        assert f"| `{decoder}` | `{name}` | {made.defaults()[name]:g} | {known.right} | {known.help} |" in text
