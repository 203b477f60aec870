"""Changes to an image and its cells together, before both are moved."""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.learn.data.specks import add_specks

_EDGE = 3  # pixels around a cell that receive its light
_LEAST_AREA, _LONGEST = 12, 160  # least number of pixels of a cell to copy, and its longest side
_MOST_COVERED = 0.5  # share of a cell covered by a pasted one
_MEAN_PASTED, _MOST_PASTED = 3, 12
_TOUCHING = 0.75  # share of the pasted cells that are placed next to another
_DISTANCES = 0.6, 1.05  # between the centres of two such cells, as a share of the sum of their radii
_FACTORS = 0.35, 2.5  # factors of a cell's brightness
_SPREAD = 0.45  # standard deviation of the logarithm of such factors


@dataclass(slots=True)
class Scene:
    """A part of an image with its cells, to be changed in place.

    Attributes
    ----------
    image
        (C, H, W) float32, normalised; None if no pixels are needed.
    labels
        (H, W) unsigned integers, 0 = background.
    areas
        (n,): pixels of each annotation before overlaps are resolved.
    seen
        Rows and columns that a sample shows, with a margin.
    copied
        For each added cell, in order, the label that it is a copy of.
    """

    image: NDArray[np.float32] | None
    labels: NDArray[Any]
    areas: NDArray[Any]
    seen: tuple[slice, slice]
    copied: list[int] = field(default_factory=list)

    def background(self) -> NDArray[np.float32]:
        """Return the background's median of each channel, (C, 1, 1); the 5th percentile if there is no background."""
        assert self.image is not None
        some = (slice(None, None, 3),) * 2
        nobody = self.labels[some] == 0
        pixels = self.image[(..., *some)]
        if nobody.any():
            return np.median(pixels[:, nobody], axis=1).astype(np.float32)[:, None, None]
        return np.percentile(pixels, 5, axis=(1, 2)).astype(np.float32)[:, None, None]


@dataclass(frozen=True, slots=True)
class _Copied:
    """Pixels of a cell: `image`, (C, h, w), and the weight `share` of each pixel, (h, w), 0 to 1."""

    share: NDArray[np.float32]
    image: NDArray[np.float32]
    background: NDArray[np.float32]


Change = Callable[[Scene, np.random.Generator], None]


def change_cells(scene: Scene, rng: np.random.Generator) -> None:
    """Make some cells brighter and some darker, each independently."""
    if scene.image is None:
        return
    factors = np.ones(len(scene.areas) + 1, np.float32)
    factors[1:] = _factor(rng, len(scene.areas))
    labels, image = scene.labels[scene.seen], scene.image[(..., *scene.seen)]
    background = scene.background()
    image[...] = background + (image - background) * cv2.GaussianBlur(factors[labels], (0, 0), 1)


def paste_cells(scene: Scene, rng: np.random.Generator) -> None:
    """Copy some cells with rotation, rescaling and changes of brightness, most of them onto or next to another cell."""
    from scipy import ndimage  # slow to import

    boxes = {label: box for label, box in enumerate(ndimage.find_objects(scene.labels), 1) if box}
    pixels = np.bincount(scene.labels.ravel())
    usable = [label for label, box in boxes.items() if _is_usable(box, pixels[label], scene.labels.shape)]
    near = [label for label in usable if _within(boxes[label], scene.seen)]
    if not usable:
        return
    background = None if scene.image is None else scene.background()
    spare = _MOST_COVERED * pixels.astype(np.float64)
    spare[0] = np.inf
    for _ in range(min(1 + int(rng.poisson(_MEAN_PASTED)), _MOST_PASTED)):
        source = int(rng.choice(usable))
        mask, copied = _copy(scene, background, source, boxes[source], rng)
        if near and rng.random() < _TOUCHING:
            other = int(rng.choice(near))
            between = rng.uniform(*_DISTANCES) * (np.sqrt(mask.sum() / np.pi) + np.sqrt(pixels[other] / np.pi))
            angle = rng.uniform(0, 2 * np.pi)
            centre = _centre(boxes[other]) + between * np.array([np.sin(angle), np.cos(angle)])
        else:
            centre = np.array([rng.uniform(side.start, side.stop) for side in scene.seen])
        if _put(scene, mask, copied, centre, spare, additive=bool(rng.random() < 0.5)):
            scene.copied.append(source)


def add_debris(scene: Scene, rng: np.random.Generator) -> None:
    """Add debris: bright specks and fibres that are smaller than cells, and haze that is larger."""
    if scene.image is None:
        return
    shown = scene.image[(..., *scene.seen)]
    areas = scene.areas[scene.areas > 0]
    diameter = float(np.sqrt(np.median(areas) * 4 / np.pi)) if len(areas) else 20.0
    shown += add_specks(shown.shape[1:], diameter, rng)


def _is_usable(box: tuple[slice, slice], pixels: int, shape: tuple[int, ...]) -> bool:
    inside = all(side.start > 0 and side.stop < size for side, size in zip(box, shape, strict=True))
    return bool(inside and pixels >= _LEAST_AREA and max(side.stop - side.start for side in box) <= _LONGEST)


def _within(box: tuple[slice, slice], seen: tuple[slice, slice]) -> bool:
    return all(side.start >= whole.start and side.stop <= whole.stop for side, whole in zip(box, seen, strict=True))


def _centre(box: tuple[slice, slice]) -> NDArray[np.float64]:
    return np.array([(side.start + side.stop - 1) / 2 for side in box])


def _factor(rng: np.random.Generator, count: int | None = None) -> Any:
    return np.clip(np.exp(rng.normal(0, _SPREAD, count)), *_FACTORS)


def _copy(
    scene: Scene,
    background: NDArray[np.float32] | None,
    label: int,
    box: tuple[slice, slice],
    rng: np.random.Generator,
) -> tuple[NDArray[np.bool_], _Copied | None]:
    """Return a cell's mask (h, w), randomly transformed, and its pixels."""
    rows, columns = (slice(max(0, side.start - _EDGE), side.stop + _EDGE) for side in box)
    labels = scene.labels[rows, columns]
    own = labels == label
    angle, scale, mirror = rng.uniform(0, 2 * np.pi), np.exp(rng.uniform(-0.25, 0.25)), rng.choice([-1, 1])
    turn = scale * np.array([[np.cos(angle), -np.sin(angle) * mirror], [np.sin(angle), np.cos(angle) * mirror]])
    size = int(np.ceil(np.hypot(*own.shape) * scale)) + 2
    shift = (size - 1) / 2 - turn @ ((np.array(own.shape[::-1]) - 1) / 2)
    how = np.column_stack([turn, shift])
    mask = cv2.warpAffine(own.astype(np.float32), how, (size, size)) > 0.5
    factor = np.float32(_factor(rng))
    if scene.image is None or background is None:
        return mask, None
    reach = cv2.dilate(own.astype(np.uint8), np.ones((5, 5), np.uint8)).astype(bool) & (own | (labels == 0))
    share = cv2.GaussianBlur(reach.astype(np.float32), (0, 0), 1)
    lit = background + (scene.image[:, rows, columns] - background) * factor
    shown = np.stack([cv2.warpAffine(plane, how, (size, size)) for plane in (share, *lit)]).astype(np.float32)
    return mask, _Copied(shown[0], shown[1:], background)


def _put(
    scene: Scene,
    mask: NDArray[np.bool_],
    copied: _Copied | None,
    centre: NDArray[np.float64],
    spare: NDArray[np.float64],
    *,
    additive: bool,
) -> bool:
    """Paste a copied cell on top of a scene, unless it extends beyond the image, or covers too much of another cell.

    Returns
    -------
    bool
        Whether it was pasted.
    """
    corner = np.rint(centre - (len(mask) - 1) / 2).astype(int)
    if (corner < 0).any() or (corner + len(mask) > scene.labels.shape).any() or mask.sum() < _LEAST_AREA:
        return False
    rows, columns = (slice(start, start + len(mask)) for start in corner.tolist())
    labels = scene.labels[rows, columns]
    covered = np.bincount(labels[mask], minlength=len(spare))
    if len(covered) > len(spare) or (covered > spare).any():
        return False  # earlier pasted cells stay visible
    spare -= covered
    scene.areas = np.append(scene.areas, mask.sum())
    labels[mask] = len(scene.areas)
    if scene.image is not None and copied is not None:
        image = scene.image[:, rows, columns]
        light = copied.image - copied.background if additive else np.maximum(copied.image - image, 0)
        image += copied.share * light
    return True
