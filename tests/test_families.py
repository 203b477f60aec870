"""Properties of all families of targets: flips and rotations of their values, and results of their decoders."""

from itertools import product

import numpy as np
import pytest
from stores import discs, noise, write_store

from cellprep import FAMILIES, Recipe, compute_targets, score_image

TURNS = [np.array(rows) for rows in ([[1, 0], [0, 1]], [[0, 1], [-1, 0]], [[0, -1], [-1, 0]], [[-1, 0], [0, 1]])]


@pytest.mark.parametrize("name", FAMILIES)
def test_targets_of_a_turned_image_are_turned_targets(name):
    """All but those that say that no rule turns them, and flows where pixels are equally near a cell's middle."""
    from cellprep.learn.data.windows import turned, turned_targets

    recipe = Recipe(targets=name, wall_width=1)  # walls lie on one side
    kept = {name for name, target in recipe.made.items() if not target.is_recomputed}
    for seed, turn in product(range(2), TURNS):
        labels = discs((40, 52), 14, seed)
        targets = {name: array for name, array in compute_targets(labels, recipe).items() if name in kept}
        expected = compute_targets(np.ascontiguousarray(turned(labels, turn)), recipe)
        for array, found in turned_targets(targets, turn).items():
            wrong = ~np.isclose(found, expected[array], atol=1e-4)
            assert wrong.mean() <= (0.05 if array == "cellpose_flows" else 0), f"{array} {turn}"


@pytest.mark.parametrize("name", FAMILIES)
@pytest.mark.parametrize("augment", [["flips"], ["flips", "rotation", "zoom", "elastic"]])
def test_targets_of_samples_are_those_of_what_is_seen(tmp_path, name, augment):
    """A cell in the middle of the image is entirely visible, without the mirror images next to the image."""
    from cellprep.learn import StoreDataset

    labels = np.zeros((64, 64), int)
    labels[26:36, 24:34] = 1
    labels[30:33, 30:42] = 1
    recipe = Recipe(targets=name)
    store = write_store(tmp_path / "s.zarr", {"a": (labels, noise((64, 64)))}, recipe)
    for sample in StoreDataset(store, ["labels", *recipe.made], 64, augment, samples_per_epoch=6):
        image = (sample["labels"] * sample["counts"]).numpy()
        expected, within = compute_targets(image, recipe), image > 0
        for target in recipe.made.values():
            seen, own = sample[target.name].numpy(), target.sample(expected[target.name])
            if target.name == "area":  # is that of the cell before, times the zoom squared
                continue
            assert seen.dtype == own.dtype and seen.shape == own.shape
            # Heat spreads for as long as the image's largest cell takes, which was measured before it was turned.
            off = 0.02 if target.name == "cellpose_flows" else 1e-3
            difference = np.abs(seen[..., within].astype(float) - own[..., within])
            assert difference.max() <= off, target.name


@pytest.mark.parametrize("name", [name for name, kind in FAMILIES.items() if kind.decodes()])
def test_cells_apart_come_back(name):
    labels = np.zeros((80, 100), int)
    y, x = np.indices(labels.shape)
    for label, (top, left) in enumerate(product((14, 40, 66), (14, 38, 62, 86)), start=1):
        labels[np.hypot(y - top, x - left) < 9] = label
    recipe = Recipe(targets=name)
    score = score_image(recipe.targets[0].decode(compute_targets(labels, recipe)), labels)
    assert (score.missed, score.false, score.merged, score.split) == (0, 0, 0, 0)
    assert score.kaggle_precision > 0.8
