"""Normalisation of intensities for networks."""

import dataclasses

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from stores import noise, write_store

from cellprep.errors import UsageError
from cellprep.learn.data.fitting import fit_normalisation
from cellprep.learn.normalisation import NORMALISATIONS, Normalisation, least_range


def store_of(path, images):
    return write_store(path / "data.zarr", {name: (np.zeros(i.shape[-2:], int), i) for name, i in images.items()})


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32])
def test_fits_mean_and_deviation_of_all_pixels(tmp_path, dtype):
    images = {
        "a": noise((2, 30, 40), 1, dtype) + dtype(50),
        "b": noise((2, 7, 5), 2, dtype),
    }
    fitted = fit_normalisation(store_of(tmp_path, images), ["a", "b"], "dataset")
    pixels = np.concatenate([image.reshape(2, -1) for image in images.values()], axis=1).astype(np.float64)
    np.testing.assert_allclose(fitted.low, pixels.mean(axis=1), rtol=1e-12)
    np.testing.assert_allclose(np.subtract(fitted.high, fitted.low), pixels.std(axis=1), rtol=1e-9)
    applied = np.concatenate([fitted.apply(image).reshape(2, -1) for image in images.values()], axis=1)
    np.testing.assert_allclose(applied.mean(axis=1), 0, atol=1e-4)
    np.testing.assert_allclose(applied.std(axis=1), 1, atol=1e-4)


def test_fits_the_chosen_images_only(tmp_path):
    store = store_of(tmp_path, {"a": noise((9, 9)), "b": np.full((9, 9), 255, np.uint8)})
    assert fit_normalisation(store, ["b"]) == Normalisation("dataset", (255.0,), (255.0,))


def test_large_values_lose_nothing(tmp_path):
    image = (noise((50, 50)).astype(np.float64) + 1e9).astype(np.float64)
    fitted = fit_normalisation(store_of(tmp_path, {"a": image}), ["a"])
    assert fitted.apply(image[None]).std() == pytest.approx(1, abs=1e-4)


@given(st.lists(st.integers(0, 65535), min_size=1, max_size=40), st.floats(0, 100), st.floats(0, 100))
def test_percentiles_are_numpys(values, low, high):
    for dtype in (np.uint16, np.int64, np.float32):
        image = np.array(values, dtype).reshape(1, 1, -1)
        limits = Normalisation("percentile", (low,), (high,)).limits(image)[:, 0]
        expected = np.percentile(np.array(values, np.float64), [low, high])
        assert limits[0] == pytest.approx(expected[0])
        assert limits[1] == pytest.approx(expected[1] if expected[1] > expected[0] else limits[0] + 1)


def test_a_part_has_the_percentiles_of_the_whole():
    whole = noise((2, 40, 40), dtype=np.uint16)
    percentile = Normalisation("percentile", (1, 1), (99.8, 99.8))
    part = whole[:, 5:9, 7:20]
    expected = percentile.apply(whole)[:, 5:9, 7:20]
    np.testing.assert_array_equal(percentile.apply(part, whole=whole), expected)
    np.testing.assert_array_equal(percentile.apply(part, limits=percentile.limits(whole)), expected)
    assert (percentile.apply(part) != expected).any()


FLOOR = Normalisation("noise-floor", (1.0,), (99.8,))


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.float32, np.int32])
@pytest.mark.parametrize("blur", [0, 1, 2, 3])
def test_mere_noise_stays_small_where_percentiles_blow_it_up(dtype, blur):
    picture = np.random.default_rng(0).normal(0, 1, (120, 150))
    picture = cv2.GaussianBlur(picture, (0, 0), blur) if blur else picture
    image = (100 + 12 * picture / picture.std()).astype(dtype)[None]
    assert FLOOR.apply(image).std() < 0.1
    assert dataclasses.replace(FLOOR, kind="percentile").apply(image).std() > 0.15


def test_what_stands_out_of_the_noise_is_as_with_percentiles():
    y, x = np.indices((180, 240))
    discs = (np.hypot(y % 60 - 30, x % 60 - 30) < 12) * 100.0
    image = (discs + np.random.default_rng(0).normal(20, 1, discs.shape)).astype(np.float32)[None]
    np.testing.assert_array_equal(FLOOR.limits(image), dataclasses.replace(FLOOR, kind="percentile").limits(image))


def test_rounding_is_noise_and_a_slope_is_none():
    two_values = (np.arange(6000).reshape(1, 60, 100) % 7 == 0).astype(np.uint8)
    assert FLOOR.apply(two_values).max() < 0.1
    slope = np.broadcast_to(np.linspace(0, 1, 100, dtype=np.float32), (1, 60, 100))
    np.testing.assert_allclose(least_range(slope), 0, atol=1e-6)
    np.testing.assert_allclose(least_range(np.full((2, 3, 1), 7.0)), 0)


def test_hot_pixels_are_no_brighter_than_nuclei_may_be():
    image = np.full((1, 60, 60), 7, np.uint16)
    image[0, ::30, ::30] = 60000
    assert FLOOR.apply(image).max() == 4
    assert (FLOOR.apply(image)[image == 7] == 0).all()


def test_noise_of_large_values_is_not_rounded_away():
    noise = np.random.default_rng(0).normal(0, 3, (1, 90, 90))
    assert least_range(noise + 1e9) == pytest.approx(3 * 40, rel=0.1)


@pytest.mark.parametrize("kind", NORMALISATIONS)
def test_a_channel_of_one_value_becomes_0(tmp_path, kind):
    image = np.full((8, 8), 7, np.uint8)
    fitted = fit_normalisation(store_of(tmp_path, {"a": image}), ["a"], kind)
    np.testing.assert_array_equal(fitted.apply(image[None]), np.zeros((1, 8, 8), np.float32))


@pytest.mark.parametrize(
    ("values", "problem"),
    [
        (("z", (0,), (1,)), "normalisation 'z' is unknown: use one of dataset, percentile, noise-floor"),
        (("dataset", (0, 1), (1,)), "2 low and 1 high values"),
        (("dataset", (), ()), "0 low and 0 high values"),
    ],
    ids=["kind", "unequal", "none"],
)
def test_refuses_what_is_no_normalisation(values, problem):
    with pytest.raises(UsageError, match=problem):
        Normalisation(*values)


def test_refuses_images_of_other_channels():
    with pytest.raises(UsageError, match=r"shape \(3, 2, 2\): it must be \(1, H, W\)"):
        Normalisation("dataset", (0,), (1,)).apply(np.zeros((3, 2, 2)))
