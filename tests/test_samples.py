"""Samples: inputs and targets of networks, cut from a store or warped."""

import dataclasses
import weakref

import cv2
import numpy as np
import pytest
from conftest import examples, masks
from hypothesis import given, settings
from hypothesis import strategies as st
from stores import discs, noise, write_store

from cellprep import (
    BuildOptions,
    Recipe,
    build_targets,
    compute_targets,
    encode_rle,
    open_source,
    open_store,
    parse_rle,
    resolve_overlaps,
)
from cellprep.core.cells import WholeImage, cells_from_labels, restore_cells
from cellprep.core.targets import sampled_targets
from cellprep.errors import StoreError, UsageError
from cellprep.learn.data.augmentation import AUGMENTATIONS, USUAL_AUGMENTATIONS
from cellprep.learn.data.camera import photograph
from cellprep.learn.data.contacts import find_contacts
from cellprep.learn.data.fitting import fit_normalisation
from cellprep.learn.data.grey import Grey
from cellprep.learn.data.samples import CropSettings, SampleMaker
from cellprep.learn.data.scene import Scene, add_debris, change_cells, paste_cells
from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.data.views import View
from cellprep.learn.data.warp import Placement, Warp
from cellprep.learn.data.warping import warp_targets
from cellprep.learn.data.windows import Span, cut_targets, turned_targets
from cellprep.learn.normalisation import Normalisation

PLAIN = Normalisation("dataset", (0.0,), (1.0,))
GEOMETRIC = ("flips", "rotation", "zoom", "elastic")


def warp(labels, areas, *rest, more=()):
    whole = WholeImage.of(labels.__getitem__, labels.shape, len(areas))
    return warp_targets([*sampled_targets(), *more], labels, areas, whole, *rest)


def maker(store, normalisation=PLAIN, ids=None, **settings):
    return SampleMaker(TrainingSet(store, ids or list(store)), CropSettings(**settings), normalisation)


def assert_same(first, second):
    """Compare samples; of vectors the last bits may differ, as those of the chamfer distance do."""
    assert first.keys() == second.keys()
    for name, array in first.items():
        np.testing.assert_allclose(array, second[name], rtol=0, atol=1e-5 if name == "uvec" else 0, err_msg=name)
        assert array.dtype == second[name].dtype, name


@pytest.fixture
def no_warp(monkeypatch):
    """Set the zoom to 1, so that the warp has no effect."""
    monkeypatch.setitem(AUGMENTATIONS, "zoom", lambda plan, channels, rng: plan)


@pytest.fixture(scope="module")
def drawn(tmp_path_factory):
    """A store of sparse and crowded images, smaller and larger than a crop, and one without cells."""
    shapes = {"a large": (150, 170, 60), "b wide": (40, 130, 12), "c small": (30, 20, 4), "d empty": (90, 90, 0)}
    images = {name: (discs(shape, count), noise(shape, dtype=np.uint16)) for name, (*shape, count) in shapes.items()}
    return write_store(tmp_path_factory.mktemp("drawn") / "data.zarr", images)


def test_a_sample_has_the_form_that_networks_want(drawn):
    for augment in ((), tuple(AUGMENTATIONS)):
        sample = maker(drawn, crop=32, augment=augment).crop(0, np.random.default_rng(0))
        forms = {name: (array.shape, array.dtype.name) for name, array in sample.items()}
        assert forms == {
            "image": ((1, 32, 32), "float32"),
            "semseg": ((32, 32), "int64"),
            "uvec": ((2, 32, 32), "float32"),
            "energy": ((32, 32), "int64"),
            "area": ((32, 32), "float32"),
            "counts": ((32, 32), "bool"),
            "position": ((2,), "int64"),
        }


@pytest.mark.parametrize("index", range(4))
def test_a_warp_that_moves_nothing_is_a_cut(drawn, no_warp, index):
    for seed in range(5):
        cut, warped = (
            maker(drawn, crop=64, augment=augment).crop(index, np.random.default_rng(seed))
            for augment in ((), ("zoom",))
        )
        assert_same(cut, warped)


@pytest.mark.parametrize("options", [{}, {"background_cell": True}, {"wall_width": 7}, {"per_instance": True}], ids=str)
def test_a_warp_that_moves_nothing_is_a_cut_by_any_recipe(tmp_path, no_warp, options):
    images = {
        "one": (discs((200, 230), 8, most=40), noise((200, 230))),
        "none": (np.zeros((50, 60), int), noise((50, 60))),
    }
    store = write_store(tmp_path / "data.zarr", images, Recipe(**options))
    for index in (0, 1):
        for seed in range(3):
            cut, warped = (
                maker(store, crop=32, augment=augment).crop(index, np.random.default_rng(seed))
                for augment in ((), ("zoom",))
            )
            assert_same(cut, warped)


def test_a_warp_that_moves_nothing_is_a_cut_of_real_images(sartorius, tmp_path, no_warp):
    ids = sorted(path.stem for path in (sartorius.parent / "images").glob("*.png"))[::5]
    options = BuildOptions(images=sartorius.parent / "images", only=tuple(ids), quiet=True, jobs=1)
    build_targets(open_source(sartorius), tmp_path / "data.zarr", options)
    store = open_store(tmp_path / "data.zarr")
    for index in range(len(ids)):
        rng = [np.random.default_rng(index) for _ in "ab"]
        assert_same(maker(store, augment=()).crop(index, rng[0]), maker(store, augment=("zoom",)).crop(index, rng[1]))


@settings(max_examples=examples(40))
@given(masks(), st.integers(-4, 8), st.integers(-4, 8), st.sampled_from([1, 3, 5]))
def test_warping_by_quarters_is_turning_what_is_cut(stack, top, left, wall_width):
    cells = resolve_overlaps(parse_rle(encode_rle(stack), stack.shape[1:]))
    recipe = Recipe(wall_width=wall_width)
    shape = stack.shape[1:]
    crop = 10
    top, left = min(top, shape[0] - 1), min(left, shape[1] - 1)
    targets = compute_targets(cells, recipe)
    whole = cut_targets(targets, Span(top, top + crop), Span(left, left + crop))
    place = Placement((4.5, 4.5), (top + 4.5, left + 4.5))
    same, _ = warp(cells.labels, cells.areas, recipe, View(shape, Warp(np.eye(2)), place), crop)
    for name, array in same.items():
        np.testing.assert_array_equal(array, whole[name], err_msg=name)
    turn = np.array([[0, -1], [1, 0]])
    warped, _ = warp(cells.labels, cells.areas, recipe, View(shape, Warp(turn.astype(float)), place), crop)
    expected = turned_targets(whole, turn)
    np.testing.assert_array_equal(warped["semseg"], expected["semseg"])
    np.testing.assert_allclose(warped["uvec"], expected["uvec"], atol=1e-3)


def test_flips_turn_all_arrays_with_their_vectors(drawn):
    rng = np.random.default_rng(3)
    for _ in range(8):
        sample = maker(drawn, crop=64, augment=("flips",)).crop(0, rng)
        cells = sample["semseg"] < 2
        assert ((np.hypot(*sample["uvec"]) > 0.99) <= cells).all()
        # One step along its vector a pixel of the rim is deeper in the cell.
        y, x = np.nonzero((sample["energy"] == 1) & (np.hypot(*sample["uvec"]) > 0))
        inner = (y > 1) & (y < 62) & (x > 1) & (x < 62)
        y, x = y[inner], x[inner]
        step = np.rint(sample["uvec"][:, y, x]).astype(int)
        assert (sample["energy"][y + step[0], x + step[1]] >= sample["energy"][y, x]).mean() > 0.97


DISC = Recipe(distance="cv2-exact")


def disc(angle=0.0, zoom=1.0, waves=None, radius=30):
    """Return the targets of a disc in the middle of a crop of 96 x 96, off the middle of an image."""
    y, x = np.indices((140, 160))
    labels = (np.hypot(y - 70, x - 80) < radius).astype(np.uint16)
    matrix = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]) / zoom
    view = View(labels.shape, Warp(matrix, waves), Placement((48, 48), (70, 80)))
    return warp(labels, np.array([labels.sum()]), DISC, view, 96)[0], labels


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.5, 4.0])
@pytest.mark.parametrize("zoom", [0.75, 1, 1.3])
def test_vectors_point_to_the_middle_of_a_disc_however_it_is_moved(angle, zoom):
    targets, labels = disc(angle, zoom)
    y, x = np.indices((96, 96)) - 48
    radius = np.hypot(y, x)
    ring = (radius > 8) & (radius < 30 * zoom - 2)
    towards = -np.stack([y, x], axis=-1)[ring] / radius[ring][:, None]
    cosines = (targets["uvec"][ring] * towards).sum(axis=-1)
    assert np.degrees(np.arccos(np.clip(cosines, -1, 1))).mean() < 10  # the steps of the rim cost 5 to 9
    np.testing.assert_allclose(targets["area"][ring], labels.sum() * zoom**2, rtol=1e-6)
    np.testing.assert_allclose(targets["area"][0, 0], (labels == 0).sum() * zoom**2, rtol=1e-6)


@pytest.mark.parametrize("angle", [0.3, 1.0, 2.5])
def test_vectors_after_a_rotation_are_rotated_vectors(angle):
    y, x = np.indices((200, 200))
    labels = np.zeros((200, 200), np.uint16)
    labels[(np.abs(y - 100) < 45) & (np.abs(x - 100) < 25)] = 1  # an oblong: its vectors tell its direction
    areas, place = np.array([labels.sum()]), Placement((64, 64), (100, 100))
    turn = np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]])
    before, after = (warp(labels, areas, DISC, View((200, 200), Warp(m), place), 128)[0] for m in (np.eye(2), turn))
    offsets = np.stack(np.indices((128, 128)), axis=-1).reshape(-1, 2) - 64
    there = np.rint(offsets @ turn.T).astype(int) + 64
    inside = ((there >= 0) & (there < 128)).all(axis=1)
    offsets, there = offsets[inside] + 64, there[inside]
    expected = before["uvec"][there[:, 0], there[:, 1]] @ turn
    found = after["uvec"][offsets[:, 0], offsets[:, 1]]
    both = (np.linalg.norm(expected, axis=1) > 0.5) & (np.linalg.norm(found, axis=1) > 0.5)
    cosines = (expected * found).sum(axis=1)[both]
    assert both.sum() > 3000
    assert np.median(cosines) > 0.99
    assert cosines.mean() > 0.97


def test_more_is_computed_around_a_crop_where_cells_are_deep():
    labels = np.zeros((700, 700), np.uint16)
    labels[5:-5, 5:-5] = 1
    cells = cells_from_labels(labels)
    targets = compute_targets(cells, Recipe())
    for start in (20, 120, 320):
        place = Placement((7.5, 7.5), (start + 7.5, 300))
        view = View(labels.shape, Warp(np.eye(2)), place)
        place = dataclasses.replace(place, image=(start + 7.5, 300 + 7.5))
        found, _ = warp(labels, cells.areas, Recipe(), dataclasses.replace(view, place=place), 16, more=["distance"])
        expected = cut_targets(targets, Span(start, start + 16), Span(300, 316))
        np.testing.assert_array_equal(found["energy"], expected["energy"])
        if start < 240:
            np.testing.assert_array_equal(found["uvec"], expected["uvec"])
            np.testing.assert_array_equal(found["distance"], expected["distance"])
        else:  # deeper than 256 pixels: the border is unknown
            assert not found["uvec"].any()
            assert (found["distance"] == found["distance"].max()).all()
            assert (found["distance"] > 240).all() and (found["distance"] < expected["distance"]).all()


@pytest.mark.parametrize(
    ("targets", "name", "top"),
    [
        ("instance-distance:signed=true", "instance_distance", 300),
        ("affinities:offsets=-1/0+-190/0", "affinities", 300),
        ("stardist", "stardist_probability", 0),
    ],
)
def test_what_other_targets_look_at_is_computed_around_a_crop(targets, name, top):
    """A cell far from a crop, to which the distance is below 0; whether one is 190 pixels away; one at the top edge."""
    recipe, labels = Recipe(targets=targets), np.zeros((600, 600), np.uint16)
    labels[100:120, 300:320], labels[:9, 305:330] = 1, 2
    cells = cells_from_labels(labels)
    view = View(labels.shape, Warp(np.eye(2)), Placement((7.5, 7.5), (top + 7.5, 307.5)))
    whole = WholeImage.of(cells.labels.__getitem__, labels.shape, 2)
    found, counts = warp_targets([name], cells.labels, cells.areas, whole, recipe, view, 16)
    expected = cut_targets(compute_targets(cells, recipe), Span(top, top + 16), Span(300, 316))
    np.testing.assert_array_equal(found[name], expected[name])
    assert counts.all()


def test_what_targets_look_at_is_there_also_where_cells_are_changed(tmp_path, monkeypatch):
    recipe = Recipe(targets="affinities:offsets=0/700+0/-700")
    labels = discs((40, 1500), 150)
    store = write_store(tmp_path / "data.zarr", {"long": (labels, noise(labels.shape))}, recipe)
    found = []
    for changes in ((), ((lambda scene, rng: None, 0),)):
        monkeypatch.setitem(
            AUGMENTATIONS, "debris", lambda plan, *_, now=changes: dataclasses.replace(plan, changes=now)
        )
        found.append(maker(store, crop=32, augment=("debris",)).crop(0, np.random.default_rng(0)))
    assert 0 < found[0]["affinities"].mean() < 1
    assert_same(*found)


def test_labels_are_not_kept_when_a_sample_is_made(drawn):
    made, kept = maker(drawn, crop=32), []
    read = made.images.read

    def noted(*given):
        arrays = read(*given)
        kept.append(weakref.ref(arrays["labels"]))
        return arrays

    made.images.read = noted
    made.crop(0, np.random.default_rng(0))
    assert kept
    assert not any(labels() is not None for labels in kept)


def test_a_cell_without_background_in_sight_has_no_vectors_and_the_highest_level(tmp_path, no_warp):
    store = write_store(tmp_path / "data.zarr", {"full": (np.ones((70, 80), int), noise((70, 80)))})
    for augment in ((), ("zoom",), GEOMETRIC):
        sample = maker(store, crop=32, augment=augment).crop(0, np.random.default_rng(1))
        assert not sample["uvec"].any()
        assert (sample["energy"] == 16).all()


def test_more_than_65535_cells_are_told_apart(tmp_path, no_warp):
    labels = np.arange(1, 270 * 270 + 1).reshape(270, 270)
    labels[:, ::2] = 0
    labels = np.where(labels > 0, labels, 0)
    store = write_store(tmp_path / "data.zarr", {"many": (labels, noise((270, 270)))})
    assert store["many"].read("labels").dtype == np.uint32
    cut, warped = (
        maker(store, crop=48, augment=augment).crop(0, np.random.default_rng(0)) for augment in ((), ("zoom",))
    )
    assert_same(cut, warped)
    moved = maker(store, crop=48, augment=GEOMETRIC).crop(0, np.random.default_rng(0))
    assert moved["energy"].any()


@pytest.mark.parametrize("augment", [(), ("flips",), GEOMETRIC], ids=str)
def test_pixels_to_ignore_and_beyond_the_image_do_not_count(tmp_path, augment):
    ignore = np.zeros((60, 60), np.uint8)
    ignore[:, :30] = 1
    image = np.where(ignore == 1, 100, 7).astype(np.uint8)
    store = write_store(
        tmp_path / "data.zarr", {"one": (np.zeros((60, 60), int), image, {"arrays": {"ignore": ignore}})}
    )
    for seed in range(5):
        sample = maker(store, crop=96, augment=augment).crop(0, np.random.default_rng(seed))
        counts = sample["counts"]
        assert counts.any()
        assert (sample["image"][0][counts] < 60).all()  # nothing that counts shows what is ignored
        if augment in ((), ("flips",)):
            assert counts.sum() == 60 * 30
        else:
            assert counts.sum() < 60 * 30 * 1.78


def test_a_small_image_is_mirrored_to_the_size_of_a_crop(drawn):
    image = drawn["c small"].read("image").astype(np.float32)
    sample = maker(drawn, crop=80, augment=()).crop(list(drawn).index("c small"), np.random.default_rng(0))
    y, x = (int(np.flatnonzero(sample["counts"].any(axis=axis))[0]) for axis in (1, 0))
    padded = np.pad(image, ((y, 80 - 30 - y), (x, 80 - 20 - x)), mode="symmetric")
    np.testing.assert_array_equal(sample["image"][0], padded)
    assert sample["counts"].sum() == 30 * 20


def test_a_whole_image_is_padded_below_and_at_the_right(drawn):
    for index, name in enumerate(drawn):
        sample = maker(drawn, crop=32).whole(index, 16)
        height, width = drawn[name].shape
        assert sample["image"].shape[1:] == (-(-height // 16) * 16, -(-width // 16) * 16)
        np.testing.assert_array_equal(sample["counts"][:height, :width], True)
        assert sample["counts"].sum() == height * width
        np.testing.assert_array_equal(sample["uvec"][:, :height, :width], np.moveaxis(drawn[name].read("uvec"), -1, 0))
        np.testing.assert_array_equal(sample["energy"][:height, :width], drawn[name].read("energy"))
        np.testing.assert_array_equal(sample["image"][0, :height, :width], drawn[name].read("image"))


def test_crops_are_taken_from_everywhere(tmp_path):
    image = np.arange(36 * 40, dtype=np.float32).reshape(36, 40)
    store = write_store(tmp_path / "data.zarr", {"one": (np.zeros((36, 40), int), image)})
    made = maker(store, crop=32, augment=())
    firsts = {int(made.crop(0, np.random.default_rng(seed))["image"][0, 0, 0]) for seed in range(600)}
    assert firsts == {y * 40 + x for y in range(5) for x in range(9)}


def test_samples_without_pixels_are_those_with_pixels_but_for_the_image(drawn):
    for augment in ((), ("flips",), ("rotation", "zoom")):
        settings = CropSettings(crop=32, augment=augment)
        blind = SampleMaker(TrainingSet(drawn, list(drawn), 0), settings, None)
        seeing = maker(drawn, crop=32, augment=augment)
        for made, other in ((blind.crop(0, np.random.default_rng(3)), seeing.crop(0, np.random.default_rng(3))),
                            (blind.whole(1, 16), seeing.whole(1, 16))):  # fmt: skip
            assert other.pop("image").any()
            assert made.keys() == other.keys()
            for name, array in other.items():
                np.testing.assert_array_equal(made[name], array)


def test_several_channels_stay_in_order(tmp_path, no_warp):
    image = noise((3, 50, 60)) * np.array([1, 0, 1], np.uint8)[:, None, None]
    store = write_store(tmp_path / "data.zarr", {"rgb": (discs((50, 60), 4), image)})
    three = Normalisation("dataset", (0, 0, 0), (1, 1, 1))
    for augment in (("zoom",), ("flips",), (*USUAL_AUGMENTATIONS, "contacts", "brightness", "paste")):
        sample = maker(store, three, crop=32, augment=augment).crop(0, np.random.default_rng(0))
        assert sample["image"].shape == (3, 32, 32)
        assert not sample["image"][1].any()
        assert sample["image"][0].any() and sample["image"][2].any()


def test_percentiles_are_those_of_the_whole_image(tmp_path):
    image = np.arange(10_000, dtype=np.uint16).reshape(100, 100)
    store = write_store(tmp_path / "data.zarr", {"one": (np.zeros((100, 100), int), image)})
    normalisation = fit_normalisation(store, ["one"], "percentile")
    sample = maker(store, normalisation, crop=16, augment=()).crop(0, np.random.default_rng(0))
    whole = normalisation.apply(image[None])
    assert np.isin(sample["image"], whole).all()


def test_the_cells_before_overlaps_decide_who_is_on_top(tmp_path, no_warp):
    """Of two cells that look alike the one that was larger lies below, as the store's table of cells tells."""
    labels = np.zeros((30, 30), int)
    labels[5:25, 5:15], labels[5:25, 15:25] = 1, 2
    areas = np.array([200, 900])
    cells = restore_cells(labels, areas, "smaller-on-top")
    table = np.stack([np.arange(2), areas, np.full(2, -1)], axis=1)
    changes = {"arrays": {"cells": table, **compute_targets(cells, Recipe())}}
    store = write_store(tmp_path / "data.zarr", {"one": (labels, noise((30, 30)), changes)})
    sample = maker(store, crop=32, augment=("zoom",)).crop(0, np.random.default_rng(0))
    assert_same(sample, maker(store, crop=32, augment=()).crop(0, np.random.default_rng(0)))
    assert set(sample["area"][sample["semseg"] == 1]) == {900}


def test_grey_changes_what_it_says():
    image = np.random.default_rng(0).gamma(2, 3, (1, 64, 64)).astype(np.float32)
    one = np.ones(1)
    plain = Grey(gamma=one, contrast=one, brightness=0 * one, blur=0.0, noise=0.0, seed=0)
    np.testing.assert_allclose(plain.apply(image), image, atol=1e-4)
    brighter = dataclasses.replace(plain, gamma=one * 1.3, contrast=one * 1.2, brightness=one * 0.25).apply(image)
    assert brighter.mean() == pytest.approx(image.mean() + 0.25 * image.std(), rel=1e-4)
    assert brighter.std() == pytest.approx(1.2 * image.std(), rel=1e-4)
    assert (np.argsort(brighter.ravel()) == np.argsort(image.ravel())).mean() > 0.99
    noisy = dataclasses.replace(plain, noise=0.2).apply(image) - image
    assert noisy.std() == pytest.approx(0.2 * image.std(), rel=0.05)
    assert dataclasses.replace(plain, blur=1.5).apply(image).std() < 0.6 * image.std()


def test_grey_leaves_a_channel_of_one_value_alone():
    image = np.full((2, 8, 8), 3, np.float32)
    for seed in range(20):
        np.testing.assert_array_equal(Grey.draw(2, np.random.default_rng(seed)).apply(image), image)


def test_only_grey_values_change_by_grey(drawn):
    plain, grey = (maker(drawn, crop=32, augment=names).crop(0, np.random.default_rng(0)) for names in ((), ("grey",)))
    assert (plain.pop("image") != grey.pop("image")).mean() > 0.9
    assert_same(plain, grey)


# --- cells that are changed, copied, or not there


def scene(image=True):
    """Return six discs of 100 on a background of 10, two of which touch, and all of it seen."""
    labels = np.zeros((90, 120), np.uint16)
    y, x = np.indices(labels.shape)
    for label, centre in enumerate([(20, 20), (20, 39), (20, 90), (60, 25), (65, 60), (60, 95)], start=1):
        labels[np.hypot(y - centre[0], x - centre[1]) < 10] = label
    pixels = np.where(labels > 0, 100, 10).astype(np.float32)[None]
    areas = np.bincount(labels.ravel())[1:]
    whole = (slice(0, 90), slice(0, 120))
    return Scene(pixels if image else None, labels, areas, whole)


@pytest.mark.parametrize("seed", range(8))
def test_pasted_cells_are_whole_and_shine_where_they_are(seed):
    before, after, unseen = scene(), scene(), scene(image=False)
    for one in (after, unseen):
        paste_cells(one, np.random.default_rng(seed))
    np.testing.assert_array_equal(after.labels, unseen.labels)  # a network that sees no image learns the same cells
    assert len(after.areas) == after.labels.max() > len(before.areas)
    pixels = np.bincount(after.labels.ravel(), minlength=len(after.areas) + 1)
    assert (pixels[1:] <= after.areas).all()
    assert (pixels[1:7] >= 0.5 * before.areas).all()  # none is covered for the most part
    own = cv2.erode((after.labels > 6).astype(np.uint8), np.ones((3, 3))) > 0
    assert (after.image[0][own] > 25).all()
    far = cv2.dilate((after.labels > 0).astype(np.uint8), np.ones((13, 13))) == 0
    np.testing.assert_allclose(after.image[0][far], 10, atol=0.5)


def test_pasted_cells_touch_others_more_often_than_not():
    touching = 0
    for seed in range(20):
        pasted = scene()
        pasted.labels[pasted.labels == 2] = 0
        paste_cells(pasted, np.random.default_rng(seed))
        touching += len(find_contacts(pasted.labels)) > 0
    assert touching > 12


def test_cells_change_their_brightness_each_by_itself_and_nothing_else_does():
    changed = scene()
    change_cells(changed, np.random.default_rng(0))
    inner = cv2.erode((changed.labels > 0).astype(np.uint8), np.ones((9, 9))) > 0
    means = [changed.image[0][inner & (changed.labels == label)].mean() for label in range(1, 7)]
    assert np.ptp(means) > 20
    far = cv2.dilate((changed.labels > 0).astype(np.uint8), np.ones((9, 9))) == 0
    np.testing.assert_allclose(changed.image[0][far], 10, atol=0.01)
    np.testing.assert_array_equal(changed.labels, scene().labels)


def test_debris_is_no_cell():
    seen = [scene() for _ in range(10)]
    for seed, one in enumerate(seen):
        add_debris(one, np.random.default_rng(seed))
        np.testing.assert_array_equal(one.labels, scene().labels)
        assert (one.image >= scene().image).all()
    assert any((one.image != scene().image).any() for one in seen)


def test_contacts_are_where_two_cells_meet():
    touching = np.argwhere(scene().labels == 1)[:, 1].max()
    assert set(find_contacts(scene().labels)[:, 1]) <= {touching, touching + 1}
    assert len(find_contacts(scene().labels))
    assert find_contacts(np.zeros((5, 5), int)).shape == (0, 2)


@pytest.mark.parametrize(
    "normalisation", [PLAIN, Normalisation("noise-floor", (1,), (99.8,))], ids=lambda how: how.kind
)
def test_an_empty_sample_has_no_cell_and_counts_everywhere(drawn, normalisation, monkeypatch):
    monkeypatch.setattr("cellprep.learn.data.augmentation._EMPTY", 1.0)
    made = maker(drawn, normalisation, crop=48, augment=("empty",))
    for seed in range(12):
        sample = made.crop(2, np.random.default_rng(seed))  # smaller than a crop
        assert (sample["semseg"] == 2).all() and sample["counts"].all()
        assert not sample["uvec"].any() and not sample["energy"].any()
        assert np.isfinite(sample["image"]).all()


def test_photographs_keep_their_form_and_stay_in_sight():
    image = np.repeat(scene().image / 100, 2, axis=0)
    for seed in range(30):
        changed = photograph(image, np.random.default_rng(seed))
        assert (changed.shape, changed.dtype) == (image.shape, image.dtype)
        assert changed.std() > 0.02 and np.abs(changed).max() < 2
    np.testing.assert_array_equal(
        photograph(image, np.random.default_rng(1)), photograph(image, np.random.default_rng(1))
    )


@pytest.mark.parametrize("name", AUGMENTATIONS)
def test_a_sample_follows_from_its_seed_whatever_was_before(drawn, name):
    made = maker(drawn, crop=32, augment=(name,))
    first = [made.crop(0, np.random.default_rng(seed)) for seed in range(6)]
    again = [made.crop(0, np.random.default_rng(seed)) for seed in reversed(range(6))][::-1]
    for one, other in zip(first, again, strict=True):
        assert_same(one, other)


def test_targets_of_changed_cells_are_those_of_the_labels_that_are_seen(drawn, no_warp, monkeypatch):
    """A crop of pasted cells has the targets that the store of its scene has."""
    monkeypatch.setitem(
        AUGMENTATIONS, "paste", lambda plan, _, rng: dataclasses.replace(plan, changes=((paste_cells, 3),))
    )
    made = maker(drawn, crop=150, augment=("paste",))
    arrays = made.images.read(0, ["image", "labels", "cells"])
    staged = Scene(None, arrays["labels"].copy(), arrays["cells"][:, 1], (slice(0, 150), slice(0, 170)))
    sample = made.crop(0, np.random.default_rng(0))
    top, left = sample["position"]
    staged.seen = tuple(slice(max(0, s - 3), min(n, s + 153)) for s, n in zip((top, left), (150, 170), strict=True))
    paste_cells(staged, np.random.default_rng(3))
    assert len(staged.areas) > len(arrays["cells"])
    targets = compute_targets(restore_cells(staged.labels, staged.areas, "smaller-on-top"))
    expected = cut_targets(targets, Span(top, top + 150), Span(left, left + 150))
    np.testing.assert_array_equal(sample["semseg"], expected["semseg"].argmax(2))
    np.testing.assert_array_equal(sample["energy"], expected["energy"])


ONE = (np.zeros((9, 9), int), noise((9, 9)))


def test_grey_among_colours_stands_for_three_channels(tmp_path):
    grey, colours = noise((9, 9)), noise((3, 9, 9))
    store = write_store(tmp_path / "data.zarr", {"a": (ONE[0], grey), "b": (ONE[0], colours)})
    images = TrainingSet(store, ["a", "b"])
    assert images.channels == 3
    np.testing.assert_array_equal(images.read(0, ["image"])["image"], [grey] * 3)
    np.testing.assert_array_equal(images.read(1, ["image"])["image"], colours)
    assert TrainingSet(store, ["a"]).channels == 1
    assert TrainingSet(store, ["a"], channels=3).read(0, ["image"])["image"].shape == (3, 9, 9)


@pytest.mark.parametrize(
    ("images", "problem"),
    [
        ({"a": (ONE[0], None)}, "image a of .* has no pixels: build the store with `build-targets --images`"),
        ({"a": ONE, "b": (ONE[0], noise((2, 9, 9)))}, "image b has 2 channels, but a has 1: all images must have"),
        (
            {"a": ONE, "b": (*ONE, {"attributes": {"options": Recipe(wall_width=5).to_dict()}})},
            "image b was built with another recipe than a",
        ),
        ({}, "no image of .* is chosen"),
    ],
    ids=["no pixels", "channels", "recipes", "none"],
)
def test_refuses_images_that_cannot_be_learned_from_together(tmp_path, images, problem):
    with pytest.raises(UsageError, match=problem):
        TrainingSet(write_store(tmp_path / "data.zarr", images), list(images))


def test_refuses_an_image_that_is_not_there(drawn):
    with pytest.raises(UsageError, match="image other is not in "):
        TrainingSet(drawn, ["a large", "other"])


def test_refuses_a_damaged_recipe(tmp_path):
    store = write_store(tmp_path / "data.zarr", {"a": (*ONE, {"attributes": {"options": {"wall_width": 4}}})})
    with pytest.raises(StoreError, match="image a: its recipe is damaged: wall width 4"):
        TrainingSet(store, ["a"])


def test_names_an_image_whose_values_are_no_numbers(tmp_path):
    image = np.ones((9, 9), np.float32)
    image[3, 3] = np.nan
    store = write_store(tmp_path / "data.zarr", {"a": (ONE[0], image)})
    with pytest.raises(StoreError, match="image a: some intensities are NaN or infinite"):
        maker(store, crop=8).crop(0, np.random.default_rng(0))


def test_images_in_memory_are_the_same_without_the_disk(drawn, tmp_path):
    images = {"a": (discs((50, 50), 5), noise((50, 50)))}
    store = write_store(tmp_path / "data.zarr", images)
    for augment in (("flips",), ("rotation",)):
        made = maker(store, crop=32, augment=augment)
        before = made.crop(0, np.random.default_rng(0))
        made.images.keep(made.names(whole=False), 1)
        hidden = tmp_path / "data.zarr" / "a" / "image"
        hidden.rename(tmp_path / "away")
        assert_same(made.crop(0, np.random.default_rng(0)), before)
        (tmp_path / "away").rename(hidden)


def test_refuses_images_that_do_not_fit_into_memory(drawn, monkeypatch):
    monkeypatch.setattr("cellprep.learn.data.training_set.available_memory", lambda: 2**20)
    images = TrainingSet(drawn, list(drawn))
    names = ["image", "labels"]
    images.keep(names, copies=1)
    bytes_of_all = sum(image.read(name).nbytes for image in images.images for name in names)
    with pytest.raises(UsageError, match=rf"4 images need {50 * bytes_of_all / 2**20:.1f} MB .* 1.0 MB are available"):
        images.keep(names, copies=50)


@pytest.mark.parametrize(
    ("settings", "problem"),
    [
        ({"crop": 0}, "crop is 0: give a whole number from 1"),
        ({"mask": "walls"}, "mask 'walls' is unknown"),
        ({"augment": ("flip",)}, "augmentation 'flip' is unknown"),
        ({"samples_per_epoch": 0}, "samples_per_epoch is 0"),
        ({"seed": -1}, "seed is -1"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_refuses_settings_that_cannot_be(settings, problem):
    with pytest.raises(UsageError, match=problem):
        CropSettings(**settings)
