import json

import numpy as np
import pytest
import reference
from conftest import examples, masks
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from cellprep import (
    BIN_PRESETS,
    DISTANCES,
    OVERLAP_RULES,
    PUBLISHED_BINS,
    Recipe,
    cells_from_labels,
    compute_targets,
    encode_labels,
    encode_rle,
    open_source,
    parse_rle,
    read_bins,
    resolve_overlaps,
)
from cellprep.core.cells import hidden_labels, look_up, restore_cells
from cellprep.core.targets import distance_transform, energy_levels, find_bins, unit_gradient
from cellprep.errors import AnnotationError, RecipeError, SourceError, UsageError

rules = pytest.mark.parametrize("rule", OVERLAP_RULES)
methods = pytest.mark.parametrize("method", DISTANCES)


def resolve(stack, rule="smaller-on-top"):
    return resolve_overlaps(parse_rle(encode_rle(stack), stack.shape[1:]), rule)


def drawn(text):
    return np.array([[int(char, 36) for char in line] for line in text.split()])


# Three cells in 6 x 8 pixels: 1 (21 pixels) lies under 2 (6) and touches 3 (6).
ONE = drawn("11110000 11111000 11111000 11110000 11100000 00000000") == 1
TWO = drawn("00000000 00000000 00000000 00222000 00222000 00000000") == 2
THREE = drawn("00000000 00000330 00000330 00000330 00000000 00000000") == 3
HAND = np.stack([ONE, TWO, THREE])
LABELS = drawn("11110000 11111330 11111330 11222330 11222000 00000000")
# A wall belongs to the cell below. Cells 2 and 3 have the same area: the later one, 3, lies on top.
SEMSEG = {
    "cell": drawn("11110000 11110110 10000110 10110110 10110000 00000000"),
    "wall": drawn("00000000 00001000 01111000 01001000 01001000 00000000"),
}


def test_hand_drawn_case():
    cells = resolve(HAND)
    np.testing.assert_array_equal(cells.labels, LABELS)
    assert cells.areas.tolist() == [21, 6, 6]
    semseg = compute_targets(cells)["semseg"]
    np.testing.assert_array_equal(semseg[..., 0], SEMSEG["cell"])
    np.testing.assert_array_equal(semseg[..., 1], SEMSEG["wall"])
    np.testing.assert_array_equal(semseg[..., 2], LABELS == 0)


def test_hand_drawn_case_is_no_accident():
    """Without the second cell the picture differs, so the comparison above can fail."""
    assert not np.array_equal(compute_targets(resolve(HAND[[0, 2]]))["semseg"][..., 1], SEMSEG["wall"])


@rules
@pytest.mark.parametrize("width", [1, 3, 5])
@given(stack=masks())
def test_semseg_labels_and_area_equal_the_loop(rule, width, stack):
    cells = resolve(stack, rule)
    shape = stack.shape[1:]
    targets = compute_targets(cells, Recipe(overlap=rule, wall_width=width))
    np.testing.assert_array_equal(cells.labels, reference.labels(stack, shape, rule))
    np.testing.assert_array_equal(targets["semseg"], reference.semseg(stack, shape, rule, width))
    np.testing.assert_array_equal(targets["area"], reference.area(stack, shape, rule))


@rules
@given(stack=masks())
def test_column_order_gives_the_same_cells(rule, stack):
    by_column = resolve_overlaps(parse_rle(encode_rle(stack, "column"), stack.shape[1:], "column"), rule)
    np.testing.assert_array_equal(by_column.labels, resolve(stack, rule).labels)


@rules
@given(stack=masks())
def test_label_images_give_the_same_as_their_masks(rule, stack):
    labels = reference.labels(stack, stack.shape[1:])
    from_labels = cells_from_labels(labels, rule)
    disjoint = np.stack([labels == k + 1 for k in range(labels.max())]) if labels.max() else stack[:0]
    from_masks = resolve(disjoint, rule)
    np.testing.assert_array_equal(from_labels.labels, from_masks.labels)
    np.testing.assert_array_equal(from_labels.areas, from_masks.areas)
    expected = compute_targets(from_masks)
    for name, array in compute_targets(from_labels).items():
        np.testing.assert_array_equal(array, expected[name], err_msg=name)


@methods
@pytest.mark.parametrize("background_cell", [False, True])
@given(stack=masks())
def test_distance_uvec_and_energy_equal_the_reference(method, background_cell, stack):
    recipe = Recipe(distance=method, background_cell=background_cell)
    targets = compute_targets(resolve(stack), recipe)
    inside = targets["semseg"][..., 0]
    parts = [inside, 1 - inside] if background_cell else [inside]
    distances = [_reference_distance(part, method) for part in parts]
    vectors = [reference.unit_vectors(distance) for distance in distances]
    if background_cell:
        distance = np.where(inside == 1, *distances)
        uvec = np.where(inside[..., np.newaxis] == 1, *vectors)
    else:
        distance, uvec = distances[0], np.where(targets["semseg"][..., 2:] == 1, np.float32(0), vectors[0])
    np.testing.assert_array_equal(targets["distance"], distance)
    np.testing.assert_array_equal(targets["uvec"], uvec)
    np.testing.assert_array_equal(targets["energy"], reference.levels(distance, PUBLISHED_BINS))


def distances_and_vectors_of_each(labels, method, background_cell):
    """The obvious way: each instance on the whole image, as if nothing else were there."""
    distance, uvec = np.zeros(labels.shape, np.float32), np.zeros((*labels.shape, 2), np.float32)
    for label in set(np.unique(labels)) - (set() if background_cell else {0}):
        own = labels == label
        of_this = distance_transform(own.astype(np.uint8), method)
        distance[own] = of_this[own]
        uvec[own] = unit_gradient(of_this, own)[own]
    return distance, uvec


@methods
@pytest.mark.parametrize("background_cell", [False, True])
@settings(max_examples=examples(40))
@given(stack=masks(max_side=16, max_count=9), rule=st.sampled_from(sorted(OVERLAP_RULES)))
def test_each_instance_by_itself(method, background_cell, stack, rule):
    recipe = Recipe(overlap=rule, distance=method, background_cell=background_cell, per_instance=True)
    cells = resolve(stack, rule)
    targets = compute_targets(cells, recipe)
    distance, uvec = distances_and_vectors_of_each(cells.labels, method, background_cell)
    np.testing.assert_array_equal(targets["distance"], distance)
    np.testing.assert_array_equal(targets["uvec"], uvec)
    np.testing.assert_array_equal(targets["energy"], reference.levels(distance, recipe.bins))
    np.testing.assert_array_equal(targets["semseg"], reference.semseg(stack, stack.shape[1:], rule, 3))


def test_each_instance_of_real_images_by_itself(sartorius):
    for method, record in zip(("cv2", "cv2-exact"), open_source(sartorius).images(), strict=False):
        cells = resolve_overlaps(record.load().runs)
        targets = compute_targets(cells, Recipe(distance=method, per_instance=True))
        distance, uvec = distances_and_vectors_of_each(cells.labels, method, background_cell=False)
        np.testing.assert_array_equal(targets["distance"], distance)
        np.testing.assert_array_equal(targets["uvec"], uvec)


def test_each_of_two_cells_that_touch_ends_where_the_other_begins():
    labels = drawn("1111222222 1111222222")
    recipe = Recipe(distance="scipy", per_instance=True, wall_width=1)
    targets = compute_targets(cells_from_labels(labels), recipe)
    assert targets["distance"].tolist() == [[4, 3, 2, 1, 1, 2, 3, 4, 5, 6]] * 2  # image edges are not rims
    assert targets["uvec"][0, :, 1].tolist() == [-1, -1, -1, -1, 1, 1, 1, 1, 1, 1]
    assert not targets["semseg"][..., 1].any()


@given(stack=masks(max_side=20), method=st.sampled_from(["skimage", "cv2-exact"]))
def test_exact_distances_agree(stack, method):
    mask = stack.any(axis=0).astype(np.uint8)
    np.testing.assert_array_equal(distance_transform(mask, method), distance_transform(mask, "scipy"))


def test_bins_of_the_paper_are_its_levels():
    """Their level i holds distances above boundary i, up to and with boundary i + 1, of exact distances."""
    squares = np.arange(100**2 + 1)
    dy, dx = np.ogrid[:101, :101]
    occurs = np.isin(squares, dy**2 + dx**2)
    distance = np.sqrt(squares[occurs]).astype(np.float32)
    boundaries = [0, 1, 2, 3, 4, 5, 7, 9, 12, 15, 19, 24, 30, 37, 45, 54, np.inf]
    theirs = [max(k for k in range(16) if boundaries[k] < value or k == 0) for value in np.sqrt(squares[occurs])]
    np.testing.assert_array_equal(energy_levels(distance, BIN_PRESETS["paper"].bins), theirs)
    assert set(theirs) == set(range(16))


def test_bins_have_names():
    assert Recipe().preset == "sartorius"
    assert Recipe(bins=BIN_PRESETS["paper"].bins).levels == 16
    assert Recipe(bins=(1, 2)).preset is None
    assert BIN_PRESETS["sartorius"].bins == PUBLISHED_BINS
    message = "there are no bins papre: give one of sartorius, paper, or an existing JSON file"
    with pytest.raises(SourceError, match=message):
        find_bins("papre")


@pytest.mark.parametrize("recipe", [Recipe(), Recipe(per_instance=True, bins=(1, 2), background_cell=True)])
def test_recipes_come_back_from_their_texts(recipe):
    assert Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


def test_the_text_of_the_default_recipe_never_changes():
    """Hashes in stores, and weights, depend on it."""
    text = json.dumps(Recipe().to_dict(), sort_keys=True)
    bins = "0.955, 1.369, 1.91, 2.324, 2.739, 3.279, 3.694, 4.108, 4.649, 5.063, 5.477, 6.018, 10.0, 20.0, 40.0, 80.0"
    others = '"distance": "cv2", "overlap": "smaller-on-top", "wall_width": 3'
    assert text == f'{{"background_cell": false, "bins": [{bins}], {others}}}'


def _reference_distance(mask, method):
    if method != "cv2" or mask.all():
        return reference.exact_distance(mask)
    return reference.chamfer_distance(mask)


@methods
@given(stack=masks(max_side=40), place=st.integers(1, 15))
def test_distances_do_not_depend_on_where_arrays_lie_in_memory(method, stack, place):
    mask = stack.any(axis=0).astype(np.uint8)
    expected = distance_transform(mask, method)
    elsewhere = np.zeros(mask.size + place, np.uint8)[place:].reshape(mask.shape)
    elsewhere[...] = mask
    blockers = [np.empty(size, np.uint8) for size in range(place, 300, 16)]  # shift what is allocated next
    np.testing.assert_array_equal(distance_transform(elsewhere, method), expected)
    del blockers


@given(stack=masks())
def test_types_and_invariants(stack):
    cells = resolve(stack)
    targets = compute_targets(cells)
    height, width = stack.shape[1:]
    assert {name: (array.dtype.name, array.shape) for name, array in targets.items()} == {
        "semseg": ("uint8", (height, width, 3)),
        "distance": ("float32", (height, width)),
        "uvec": ("float32", (height, width, 2)),
        "energy": ("uint8", (height, width)),
        "area": ("float32", (height, width)),
    }
    assert (targets["semseg"].sum(axis=-1) == 1).all()
    np.testing.assert_array_equal(targets["semseg"][..., 2] == 1, cells.labels == 0)
    length = np.hypot(*np.moveaxis(targets["uvec"], -1, 0))
    assert (np.isclose(length, 1, atol=1e-6) | (length == 0)).all()
    assert (targets["uvec"][cells.labels == 0] == 0).all()


@pytest.mark.parametrize("background_cell", [False, True])
@given(stack=masks(), turn=st.integers(0, 3), flip=st.booleans())
def test_targets_turn_with_the_image(background_cell, stack, turn, flip):
    recipe = Recipe(background_cell=background_cell, distance="scipy")

    def transform(array):  # of axes (y, x, ...)
        return np.rot90(array[::-1] if flip else array, turn)

    def transform_vectors(field):
        y, x = np.moveaxis(transform(field), -1, 0)
        y = -y if flip else y
        for _ in range(turn):
            y, x = -x, y  # rot90: what pointed along x now points along -y
        return np.stack([y, x], axis=-1)

    plain = compute_targets(resolve(stack), recipe)
    turned = compute_targets(resolve(np.moveaxis(transform(np.moveaxis(stack, 0, -1)), -1, 0)), recipe)
    for name in ("semseg", "distance", "energy", "area"):
        np.testing.assert_allclose(turned[name], transform(plain[name]), atol=1e-3, err_msg=name)
    np.testing.assert_allclose(turned["uvec"], transform_vectors(plain["uvec"]), atol=1e-3)


@methods
def test_a_cell_that_fills_the_image_is_as_far_as_the_diagonal(method):
    targets = compute_targets(resolve(np.ones((1, 30, 40), bool)), Recipe(distance=method))
    assert (targets["distance"] == 50).all()
    assert (targets["uvec"] == 0).all()
    assert (targets["energy"] == 15).all()
    assert (targets["area"] == 1200).all()


@methods
def test_an_image_without_cells(method):
    cells = resolve(np.zeros((0, 3, 4), bool))
    targets = compute_targets(cells, Recipe(distance=method))
    assert not any(targets[name].any() for name in ("distance", "uvec", "energy"))
    assert (targets["area"] == 12).all()
    as_cell = compute_targets(cells, Recipe(distance=method, background_cell=True))
    assert (as_cell["distance"] == 5).all()


def test_equal_areas_keep_their_order_the_later_on_top():
    left, right = np.zeros((2, 3, 6), bool)
    left[:, :4] = right[:, 2:] = True
    labels = resolve(np.stack([left, right])).labels
    assert (labels[:, :2] == 1).all()
    assert (labels[:, 2:] == 2).all()


def test_a_hidden_cell_keeps_its_number():
    big, small = np.ones((2, 4, 4), bool)
    small[2:] = False
    cells = resolve(np.stack([small, small, big]))
    assert cells.hidden().tolist() == [1]
    assert cells.areas.tolist() == [8, 8, 16]
    assert set(np.unique(cells.labels)) == {2, 3}


@given(
    arrays.arrays(np.uint16, arrays.array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.integers(0, 5)),
    st.integers(5, 8),
)
def test_hidden_cells_are_those_without_pixels(labels, count):
    assert hidden_labels(labels, count).tolist() == sorted({*range(1, count + 1)} - {*labels.ravel().tolist()})


def test_more_cells_than_uint16_holds():
    count = 70_000
    texts = [f"{4 * k + 1} 2" for k in range(count)]  # rows of pairs of pixels, two apart
    cells = resolve_overlaps(parse_rle(texts, (400, 700)))
    assert cells.labels.dtype == np.uint32
    assert cells.labels.max() == count
    flat = np.zeros(400 * 700, int)
    flat[0::4][:count] = flat[1::4][:count] = np.arange(1, count + 1)
    np.testing.assert_array_equal(cells.labels.ravel(), flat)
    # The next line begins two pixels on, so that pairs touch at their corners: the later one walls the earlier.
    semseg = compute_targets(cells)["semseg"]
    ranks = flat.reshape(400, 700)
    highest = np.pad(ranks, 1)
    around = [highest[1 + dy : 401 + dy, 1 + dx : 701 + dx] for dy in (-1, 0, 1) for dx in (-1, 0, 1)]
    np.testing.assert_array_equal(semseg[..., 1], (ranks > 0) & (np.max(around, axis=0) > ranks))
    assert (compute_targets(cells)["area"][ranks > 0] == 2).all()


# OpenCV's float distances and their neighbours: a level starts at its bin, not a rounding error above it.
@pytest.mark.parametrize(
    ("distance", "level"),
    [
        (0.0, 0),
        (0.9549, 0),
        (0.95499998, 1),
        (0.955, 1),
        (1.9099999, 3),
        (1.91, 3),
        (2.7386, 4),
        (2.7389998, 5),
        (9.9999, 12),
        (9.999995, 13),
        (10.0, 13),
        (79.99, 15),
        (80.0, 16),
        (1e6, 16),
    ],
)
def test_energy_levels_at_the_bins(distance, level):
    assert energy_levels(np.array([distance], np.float32), PUBLISHED_BINS) == level


def test_energy_levels_that_this_opencv_gives():
    """Every published bin up to the wide ones is a distance that occurs: no level may be skipped."""
    mask = np.zeros((41, 41), np.uint8)
    mask[1:-1, 1:-1] = 1
    mask[20, 20] = 0
    levels = energy_levels(distance_transform(mask), PUBLISHED_BINS)
    assert set(range(13)) <= set(levels.ravel().tolist())


@given(
    st.lists(st.floats(0.015625, 300, width=32), min_size=1, max_size=255, unique=True),
    st.lists(st.floats(0, 400, width=32), min_size=1, max_size=20),
)
def test_energy_levels_equal_the_reference(bins, distances):
    distance = np.array(distances, np.float32)
    np.testing.assert_array_equal(energy_levels(distance, sorted(bins)), reference.levels(distance, bins))


@pytest.mark.parametrize("height", [1, 2, 127, 128, 129, 130, 256, 257])
def test_working_in_blocks_of_rows_leaves_no_seams(height):
    rng = np.random.default_rng(height)
    distance = (rng.integers(0, 40, (height, 5)) / 4).astype(np.float32)
    np.testing.assert_array_equal(unit_gradient(distance, distance >= 0), reference.unit_vectors(distance))
    np.testing.assert_array_equal(energy_levels(distance, [1, 2, 5]), reference.levels(distance, [1, 2, 5]))
    indices = rng.integers(0, 300, (height, 5)).astype(np.uint16)
    np.testing.assert_array_equal(look_up(np.arange(300) ** 2, indices), indices.astype(int) ** 2)


def test_rounding_noise_on_a_ridge_is_no_vector():
    ridge = np.array([[0, 1, 2, 1.00015, 0]], np.float32)
    assert unit_gradient(ridge, ridge >= 0)[0, 2].tolist() == [0, 0]
    slope = np.array([[0, 1, 2, 1.00025, 0]], np.float32)
    assert unit_gradient(slope, slope >= 0)[0, 2].tolist() == [0, 1]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"overlap": "random"}, "overlap rule 'random' is unknown: use one of smaller-on-top"),
        ({"distance": "manhattan"}, "distance 'manhattan' is unknown: use one of cv2"),
        ({"wall_width": 2}, "wall width 2 is not an odd number"),
        ({"wall_width": -1}, "wall width -1 is not an odd number"),
        ({"wall_width": 3.0}, r"wall width 3\.0 is not a whole number"),
        ({"bins": "12"}, "bins '12' are unknown"),
        ({"wall_width": 101}, "wall width 101 is not an odd number from 1 to 99"),
        ({"bins": ()}, "there are 0 bins: there must be 1 to 255"),
        ({"bins": tuple(range(1, 257))}, "there are 256 bins"),
        ({"bins": (0.0, 1.0)}, "bin 0.0 is not a distance above 0"),
        ({"bins": (1.0, float("nan"))}, "bin nan is not a distance"),
        ({"bins": (1.0, float("inf"))}, "bin inf is not a distance"),
        ({"bins": (2.0, 1.0)}, "bin 1.0 does not exceed the one before it, 2.0"),
        ({"bins": (1.0, 1.0 + 1e-12)}, "does not exceed"),
    ],
)
def test_recipes_are_validated(options, message):
    with pytest.raises(RecipeError, match=message):
        Recipe(**options)


@pytest.mark.parametrize("content", [[1, 2.5], {"bins": [1, 2.5], "levels": 3}])
def test_reads_bins(tmp_path, content):
    (tmp_path / "bins.json").write_text(json.dumps(content))
    assert read_bins(tmp_path / "bins.json") == (1.0, 2.5)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("[1, 2", "is not JSON"),
        ("[" * 100_000, "is not JSON"),
        ("[" + "1" * 400 + "]", r"bins\.json: bin 1+ is not a distance above 0"),
        ('"1 2"', "must hold a list of numbers"),
        ("[1, true]", "must hold a list of numbers"),
        ("{}", "must hold a list of numbers"),
        ("[2, 1]", r"bins\.json: bin 1 does not exceed"),
        (b"\xff", "is not JSON"),
        (None, "cannot read the bins file"),
    ],
)
def test_faulty_bins_files(tmp_path, content, message):
    path = tmp_path / "bins.json"
    if content is not None:
        path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(SourceError, match=message):
        read_bins(path)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([[1.0]], r"must be \(H, W\) integers, not float64"),
        ([1, 2], r"of shape \(2,\)"),
        (np.zeros((0, 5), int), r"of shape \(0, 5\)"),
        ([[-1, 0]], "range from -1 to 0: they must be between 0 and 16777216"),
        ([[0, 2**24 + 1]], "range from 0 to 16777217: they must be between 0 and 16777216"),
    ],
)
def test_faulty_label_images(labels, message):
    for function in (cells_from_labels, encode_labels):
        with pytest.raises(UsageError, match=message):
            function(labels)


@pytest.mark.parametrize(("indices", "stranger"), [([[0, 1], [3, 2]], 3), ([[0, -1]], -1), ([[9, 0]], 9)])
def test_labels_beyond_the_cells_are_an_error_and_no_other_cell(indices, stranger):
    message = f"the label image contains label {stranger}, but there are only 2 cells: it is damaged"
    with pytest.raises(AnnotationError, match=message):
        look_up(np.array([0, 5, 7]), np.array(indices))
    for areas in (np.array([4, 2]), np.array([1, 1])):
        with pytest.raises(AnnotationError, match=message):
            restore_cells(np.array(indices * 200), areas, "smaller-on-top")
