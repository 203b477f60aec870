"""Weights contain the appearance of their training cells, and different images are noticed."""

from dataclasses import replace

import numpy as np
import pytest

from cellprep import build_targets, open_source, open_store
from cellprep.commands.build_targets import BuildOptions
from cellprep.commands.demo import write_nuclei
from cellprep.learn import Weights, build_network, load_weights, save_weights
from cellprep.learn.appearance import Appearance, AppearanceRange, measure_appearance, sample_pixels
from cellprep.learn.data.describing import describe_cells
from cellprep.learn.networks import NetworkSettings
from cellprep.learn.prediction.unlike import UnlikeImages

NUCLEI = AppearanceRange((0.01, 0.34), (0.0, 0.06), (0.14, 0.64), (5.2, 59.2), (0.0, 0.02))
USUAL = Appearance(cells=30, coverage=0.1, background=0.02, contrast=0.4, diameter=16, noise=0.02)


def discs(side=200, radius=8, step=40):
    y, x = np.indices((side, side))
    row, column = y // step, x // step
    inside = (y % step - step / 2) ** 2 + (x % step - step / 2) ** 2 <= radius**2
    return np.where(inside, row * -(-side // step) + column + 1, 0)


def measured(image, labels):
    areas = np.bincount(labels.ravel())[1:]
    return measure_appearance(sample_pixels(image[None]), labels, areas[areas > 0])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32])
def test_measures_are_those_of_the_picture_whatever_its_scale(dtype):
    labels = discs()
    noise = np.random.default_rng(0).normal(0, 0.05, labels.shape)
    grey = np.where(labels > 0, 1.0, 0.0) + noise
    scale = {np.uint8: 150, np.uint16: 3000, np.float32: 0.25}[dtype]
    image = (scale * (0.2 + grey)).astype(dtype)
    found = measured(image, labels)
    assert found.cells == 25
    assert found.coverage == pytest.approx((labels > 0).mean())
    assert found.background == pytest.approx(0.05, abs=0.03)
    assert found.contrast == pytest.approx(0.9, abs=0.1)
    assert found.diameter == pytest.approx(16, abs=0.5)
    assert found.noise == pytest.approx(0.05, rel=0.1)
    negative = measured(image.max() - image, labels)
    assert negative.background == pytest.approx(1, abs=0.1)
    assert negative.contrast == pytest.approx(-found.contrast, abs=0.05)


def test_a_large_image_is_looked_at_in_windows():
    labels = discs(side=2400)
    image = np.where(labels > 0, 200, 20).astype(np.uint8)
    sampled = sample_pixels(image[None])
    assert sum(part.size for _, part in sampled) == 16 * 512 * 512
    found = measure_appearance(sampled, labels, np.bincount(labels.ravel())[1:])
    small = measured(image[:400, :400], labels[:400, :400])
    assert (found.background, found.contrast) == pytest.approx((small.background, small.contrast), abs=0.02)


@pytest.mark.parametrize(
    ("expected", "changes"),
    [
        ("", {}),
        ("polarity", {"contrast": -0.3, "background": 0.9}),
        ("", {"contrast": -0.3, "cells": 2}),
        ("background", {"background": 0.6, "cells": 2}),
        ("coverage", {"coverage": 0.8}),
        ("background", {"background": 0.5}),
        ("", {"background": 0.45, "contrast": None, "diameter": None, "cells": 0}),  # an empty image, all of it noise
        ("", {"background": 0.75, "contrast": None, "diameter": None, "cells": 0}),  # and in uneven light
        ("background", {"background": 0.9, "contrast": None, "diameter": None, "cells": 0}),
        ("contrast", {"contrast": 0.05}),
        ("size", {"diameter": 100}),
        ("size", {"diameter": 3}),
        ("", {"diameter": 3, "cells": 2}),
        ("noise", {"noise": 0.07}),
        ("", {"noise": 0.07, "cells": 2}),  # of a nearly empty image, noise is all that there is
        ("", {"noise": 0.0}),
    ],
)
def test_differences(expected, changes):
    assert NUCLEI.difference(replace(USUAL, **changes)) == expected


def test_weights_for_any_contrast_and_unknown_sizes_know_no_such_difference():
    phase = AppearanceRange((0.1, 0.9), (0.4, 0.6), (-0.1, 0.2))
    assert phase.difference(Appearance(30, 0.5, 0.5, -0.05, 300, noise=0.3)) == ""
    assert phase.difference(Appearance(30, 0.5, 0.02, 0.4, 300)) == "background"


def test_unlike_images_are_told_together():
    unlike = UnlikeImages(NUCLEI)
    for number in range(5):
        unlike.add(f"a{number}", replace(USUAL, background=0.5 + number / 20))
        unlike.add(f"fine{number}", USUAL)
    unlike.add("b", replace(USUAL, diameter=100))
    unlike.add("c", replace(USUAL, noise=0.12))
    background, size, noise, _ = unlike.notes()
    assert noise.startswith("warning: in 1 image (c) the noise is 12% of the range of intensities, but these weights")
    assert background.startswith(
        "warning: in 5 images (a0, a1, a2 and 2 more) the background is brighter, at 50% to 70%"
    )
    assert size.startswith("warning: in 1 image (b) the median diameter of the predicted cells is 100 pixels, but")
    nobody_knows = UnlikeImages(None)
    nobody_knows.add("a", replace(USUAL, background=0.9))
    assert nobody_knows.notes() == UnlikeImages(NUCLEI).notes() == []


def test_what_a_store_shows_is_kept_with_weights(tmp_path):
    source = open_source(write_nuclei(tmp_path, count=2))
    build_targets(source, tmp_path / "s.zarr", BuildOptions(images=tmp_path / "nuclei", jobs=1, quiet=True))
    store = open_store(tmp_path / "s.zarr")
    found = describe_cells(store, list(store))
    assert found.polarity == 1
    assert 6 < found.diameter[0] < 14 < found.diameter[1] < 30
    assert found.background[1] < 0.1 < found.contrast[0]
    assert 0 < found.noise[0] <= found.noise[1] < 0.1
    network = build_network(NetworkSettings("dn", base_channels=1), seed=0)
    save_weights(tmp_path / "w.safetensors", Weights(network, appearance=found))
    assert load_weights(tmp_path / "w.safetensors").appearance == found


def test_a_range_is_one():
    with pytest.raises(Exception, match=r"the contrast of cells from 0\.5 to 0\.1 is not a valid range"):
        AppearanceRange((0, 1), (0, 1), (0.5, 0.1))
