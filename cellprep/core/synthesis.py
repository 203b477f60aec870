"""Synthetic cells that resemble microscopy, for demonstrations and tests.

Three types resemble phase contrast: ``stellate`` (large, with arms), ``round`` (small, with a process or two) and
``spindle`` (long and crowded). These cells touch and overlap. Nuclei resemble fluorescence: bright ellipses on a dark
background that touch but do not overlap. Some cells and nuclei are cut by the image's edge.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOST_OVERLAP = 0.3  # largest overlap, relative to a new cell's area
_SMALLEST = 40  # smallest visible part of a cell, in pixels

_NUCLEI = (90, 120)  # range of numbers per image of 512 x 640 pixels
_SEMI_AXES = (7.0, 14.0)  # range for nuclei, in pixels
_IN_PAIRS = 0.6  # share of nuclei placed next to another one


@dataclass(frozen=True, slots=True)
class CellType:
    """Appearance of cells of a type.

    Attributes
    ----------
    count
        Range of the number of cells per image of 512 x 640 pixels.
    radius
        Range of the radius of the body, in pixels.
    elongation
        Range of the ratio of length to width.
    arms
        Range of the number of arms.
    reach
        Length of the arms, in radii.
    crowding
        Share of the cells placed next to another one.
    """

    count: tuple[int, int]
    radius: tuple[float, float]
    elongation: tuple[float, float]
    arms: tuple[int, int]
    reach: float
    crowding: float


#: The types by name.
CELL_TYPES: dict[str, CellType] = {
    "stellate": CellType((20, 28), (12, 22), (1.0, 1.8), (2, 5), 2.6, 0.6),
    "round": CellType((45, 65), (8, 13), (1.0, 1.3), (0, 2), 1.8, 0.6),
    "spindle": CellType((120, 160), (7, 11), (2.0, 4.5), (0, 2), 0.5, 0.7),
}


def synthesise_cells(
    rng: np.random.Generator,
    shape: tuple[int, int],
    cell_type: str,
    *,
    taken: NDArray[np.bool_] | None = None,
    share: float = 1.0,
) -> Iterator[NDArray[np.bool_]]:
    """Place cells of one type in an image and yield their masks, (H, W) bool, which may overlap.

    Parameters
    ----------
    rng
        Random number generator.
    shape
        (H, W) of the image, in pixels.
    cell_type
        A name in `CELL_TYPES`.
    taken
        (H, W): pixels of cells of other types that are already placed; the new cells are added to it.
    share
        Number of cells, relative to an image of this type only.
    """
    import cv2

    kind = CELL_TYPES[cell_type]
    taken = np.zeros(shape, bool) if taken is None else taken
    centres: list[NDArray[np.float64]] = []
    count = round(share * rng.integers(*kind.count, endpoint=True) * shape[0] * shape[1] / (512 * 640))
    for _ in range(20 * count):
        if len(centres) == count:
            break
        outline = _outline(rng, kind)
        centre = _centre(rng, kind, shape, centres)
        mask = np.zeros(shape, np.uint8)
        cv2.fillPoly(mask, [np.round(outline + centre).astype(np.int32)], 1)
        inside = mask == 1
        area = np.count_nonzero(inside)
        if area >= _SMALLEST and np.count_nonzero(inside & taken) <= _MOST_OVERLAP * area:
            taken |= inside
            centres.append(centre)
            yield inside


def synthesise_image(
    rng: np.random.Generator, shape: tuple[int, int], masks: list[NDArray[np.bool_]]
) -> NDArray[np.uint8]:
    """Render cells as phase contrast: textured bodies, bright rims and halos on uneven grey.

    Parameters
    ----------
    rng
        Random number generator.
    shape
        (H, W) of the image, in pixels.
    masks
        The cells, (H, W) bool each; later ones lie on top.

    Returns
    -------
    ndarray
        (H, W) uint8.
    """
    import cv2

    picture = 128 + 3 * _blurred_noise(rng, shape, sigma=60)
    grain = _blurred_noise(rng, shape, sigma=1.2)
    for mask in masks:
        inside = mask.astype(np.uint8)
        depth = cv2.distanceTransform(inside, cv2.DIST_L2, 5)
        beyond = cv2.distanceTransform(1 - inside, cv2.DIST_L2, 5)
        body = 112 + rng.normal(0, 7) + rng.uniform(6, 14) * grain + 45 * np.exp(-depth / 1.2)
        halo = rng.uniform(18, 40) * np.exp(-beyond / 2.5) - 22 * np.exp(-((beyond - 1) ** 2))
        picture = np.where(mask, body, picture + halo)
    picture = cv2.GaussianBlur(picture, (0, 0), 0.7) + rng.normal(0, 2, shape)
    return np.clip(np.round(picture), 0, 255).astype(np.uint8)


def synthesise_nuclei(rng: np.random.Generator, shape: tuple[int, int]) -> Iterator[NDArray[np.bool_]]:
    """Place nuclei in an image and yield their masks, (H, W) bool: ellipses that may touch but do not overlap.

    Parameters
    ----------
    rng
        Random number generator.
    shape
        (H, W) of the image, in pixels.
    """
    import cv2

    taken = np.zeros(shape, np.uint8)
    placed: list[tuple[NDArray[np.float64], float]] = []
    count = round(rng.integers(*_NUCLEI, endpoint=True) * shape[0] * shape[1] / (512 * 640))
    for _ in range(50 * count):
        if len(placed) == count:
            break
        axes = rng.uniform(*_SEMI_AXES, 2)
        centre = rng.uniform(0, 1, 2) * shape[::-1]
        if placed and rng.random() < _IN_PAIRS:
            beside, radius = placed[rng.integers(len(placed))]
            direction = rng.uniform(0, 2 * np.pi)
            centre = beside + (radius + axes.mean()) * np.array([np.cos(direction), np.sin(direction)])
        mask = np.zeros(shape, np.uint8)
        box = (tuple(map(float, centre)), tuple(map(float, 2 * axes)), float(rng.uniform(0, 180)))
        cv2.ellipse(mask, box, 1, cv2.FILLED)
        if np.count_nonzero(mask) >= _SMALLEST and not (mask & taken).any():
            taken |= mask
            placed.append((centre, float(axes.mean())))
            yield mask == 1


def synthesise_fluorescence(
    rng: np.random.Generator, shape: tuple[int, int], masks: list[NDArray[np.bool_]]
) -> NDArray[np.uint8]:
    """Render nuclei as fluorescence: bright, textured, blurred and noisy, on an uneven dark background.

    Parameters
    ----------
    rng
        Random number generator.
    shape
        (H, W) of the image, in pixels.
    masks
        The nuclei, (H, W) bool each.

    Returns
    -------
    ndarray
        (H, W) uint8.
    """
    import cv2

    light: NDArray[Any] = 10 + 2 * _blurred_noise(rng, shape, sigma=60)
    grain = _blurred_noise(rng, shape, sigma=2.5)
    for mask in masks:
        light = light + mask * rng.uniform(60, 150) * (1 + 0.12 * grain)
    light = cv2.GaussianBlur(light, (0, 0), 1.2)
    # Shot noise: it grows with the square root of the intensity.
    noisy = light + rng.normal(size=shape) * np.sqrt(1 + 0.3 * light.clip(0))
    return np.clip(np.round(noisy), 0, 255).astype(np.uint8)


def _outline(rng: np.random.Generator, kind: CellType) -> NDArray[np.float64]:
    """Return the outline of a cell around (0, 0): (180, 2), as (x, y)."""
    angle = np.linspace(0, 2 * np.pi, 180, endpoint=False)
    radius = np.ones_like(angle)
    for wave in (2, 3, 5):
        radius += rng.normal(0, 0.08) * np.cos(wave * angle + rng.uniform(0, 2 * np.pi))
    arms = int(rng.integers(*kind.arms, endpoint=True))
    for direction in rng.uniform(0, 2 * np.pi) + 2 * np.pi / max(arms, 1) * (
        np.arange(arms) + rng.uniform(-0.3, 0.3, arms)
    ):
        radius += kind.reach * rng.uniform(0.4, 1.3) * np.exp(60 * (np.cos(angle - direction) - 1))
    radius *= rng.uniform(*kind.radius)
    stretch = np.sqrt(rng.uniform(*kind.elongation))
    along, across = radius * np.cos(angle) * stretch, radius * np.sin(angle) / stretch
    across += rng.normal(0, 0.004) * along**2
    turn = rng.uniform(0, np.pi)
    return np.stack(
        [along * np.cos(turn) - across * np.sin(turn), along * np.sin(turn) + across * np.cos(turn)], axis=1
    )


def _centre(
    rng: np.random.Generator, kind: CellType, shape: tuple[int, int], centres: list[NDArray[np.float64]]
) -> NDArray[np.float64]:
    """Return the position of a new cell, as (x, y): random, or next to another one."""
    if not centres or rng.random() > kind.crowding:
        return rng.uniform(0, 1, 2) * shape[::-1]
    direction = rng.uniform(0, 2 * np.pi)
    step = rng.uniform(1.4, 2.4) * kind.radius[1]
    beside = centres[rng.integers(len(centres))]
    return beside + step * np.array([np.cos(direction), np.sin(direction)])


def _blurred_noise(rng: np.random.Generator, shape: tuple[int, int], sigma: float) -> NDArray[np.float64]:
    """Return smooth noise with mean 0 and standard deviation 1."""
    import cv2

    noise = cv2.GaussianBlur(rng.normal(size=shape), (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    smooth: NDArray[np.float64] = (noise - noise.mean()) / noise.std()
    return smooth
