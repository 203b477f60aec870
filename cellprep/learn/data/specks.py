"""Pictures of things that are not cells: specks, fibres, haze and noise."""

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

Picture = NDArray[np.float32]

_MOST_SPECKS, _MOST_FIBRES, _MOST_HAZE = 8, 2, 3
_SPECKS = 0.04, 0.12  # deviation of a speck, as a share of a cell's diameter
_BRIGHTNESS = 0.15, 3.0
_HAZE = 20.0, 70.0  # deviation of out-of-focus light, in pixels
_MOST_HAZE_LIGHT = 0.3


def add_specks(shape: tuple[int, ...], diameter: float, rng: np.random.Generator) -> Picture:
    """Draw debris, (H, W) float32: 0 in the background, and about 1 where it is as bright as a bright cell.

    Parameters
    ----------
    shape
        (H, W), in pixels.
    diameter
        Diameter of a cell, in pixels; specks are smaller.
    rng
        Source of the random numbers.
    """
    height, width = shape
    drawn = np.zeros((height, width), np.float32)
    for _ in range(rng.integers(_MOST_FIBRES + 1) if rng.random() < 0.3 else 0):
        steps = np.cumsum(rng.normal(0, 6, (12, 2)) + rng.normal(0, 6, 2), axis=0)
        points = np.rint(rng.uniform(0, (width, height)) + steps).astype(np.int32)
        fibre = cv2.polylines(np.zeros_like(drawn), [points], False, 1.0, int(rng.integers(1, 3)))
        drawn += cv2.GaussianBlur(fibre, (0, 0), rng.uniform(0.6, 1.2)) * np.float32(_log_uniform(rng, *_BRIGHTNESS))
    for _ in range(rng.integers(_MOST_SPECKS + 1)):
        deviations = diameter * rng.uniform(*_SPECKS) * np.exp(rng.normal(0, 0.2, 2))
        _add_blob(drawn, np.maximum(deviations, 0.5), _log_uniform(rng, *_BRIGHTNESS), rng)
    for _ in range(rng.integers(_MOST_HAZE + 1) if rng.random() < 0.5 else 0):
        _add_blob(drawn, rng.uniform(*_HAZE, 2), rng.uniform(0, _MOST_HAZE_LIGHT), rng)
    return drawn


def _add_blob(drawn: Picture, deviations: NDArray[np.float64], height: float, rng: np.random.Generator) -> None:
    """Add an axis-aligned Gaussian blob at a random position."""
    centre = rng.uniform(0, drawn.shape)
    profiles = [
        np.exp(-0.5 * ((np.arange(size) - middle) / deviation) ** 2).astype(np.float32)
        for size, middle, deviation in zip(drawn.shape, centre, deviations, strict=True)
    ]
    reach = [np.flatnonzero(profile > 1e-3) for profile in profiles]
    if all(len(along) for along in reach):
        rows, columns = (slice(along[0], along[-1] + 1) for along in reach)
        drawn[rows, columns] += np.float32(height) * np.outer(profiles[0][rows], profiles[1][columns])


def _noise(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    return rng.standard_normal(shape, np.float32)


def _soft_noise(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    noise = cv2.GaussianBlur(_noise(shape, rng), (0, 0), _log_uniform(rng, 0.7, 12))
    soft: Picture = noise / np.float32(noise.std() or 1)
    return soft


def _photons(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    return rng.poisson(_log_uniform(rng, 0.05, 20), shape).astype(np.float32)


def _bright_pixels(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    lit = rng.random(shape, np.float32) < _log_uniform(rng, 1e-4, 3e-2)
    return np.where(lit, np.float32(_log_uniform(rng, 10, 300)), np.float32(0))


def _slope(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in shape)
    along, across, bend = rng.normal(0, 1, 3).astype(np.float32)
    slope: Picture = along * y[:, None] + across * x + bend * (y[:, None] ** 2 + x**2) * (rng.random() < 0.5)
    steep: Picture = slope * np.float32(_log_uniform(rng, 1, 300))
    return steep


def _haze(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    drawn = np.zeros(shape, np.float32)
    for _ in range(rng.integers(1, 12)):
        _add_blob(drawn, rng.uniform(12, 80, 2), _log_uniform(rng, 3, 100), rng)
    return drawn


def _debris(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    return add_specks(shape, rng.uniform(8, 25), rng) * np.float32(_log_uniform(rng, 5, 100))


_ALONE = 0.4  # share of the pictures with a single component, which the noise of another would hide

#: The components of pictures without cells, each with the share of such pictures that contain it.
_PARTS: dict[Callable[[tuple[int, int], np.random.Generator], Picture], float] = {
    _noise: 0.7,
    _soft_noise: 0.5,
    _photons: 0.15,
    _bright_pixels: 0.15,
    _slope: 0.4,
    _haze: 0.25,
    _debris: 0.25,
}


def draw_empty(shape: tuple[int, int], rng: np.random.Generator) -> Picture:
    """Draw a picture without cells, (H, W) float32: any of noise, uneven illumination, haze and debris, or none.

    The standard deviation of its noise is 1. Some pictures are then rounded to whole numbers.

    Examples
    --------
    >>> draw_empty((20, 30), np.random.default_rng(0)).shape
    (20, 30)
    """
    picture = np.full(shape, rng.uniform(0, 20), np.float32)
    only = [*_PARTS][rng.integers(len(_PARTS))] if rng.random() < _ALONE else None
    for part, share in _PARTS.items():
        if part is only or (only is None and rng.random() < share):
            picture += part(shape, rng)
    if rng.random() < 0.3:
        picture = np.maximum(np.rint(picture * np.float32(_log_uniform(rng, 0.3, 3))), 0)
    return picture


def _log_uniform(rng: np.random.Generator, low: float, high: float) -> Any:
    return np.exp(rng.uniform(np.log(low), np.log(high)))
