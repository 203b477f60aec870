"""The images of an epoch, their order and their batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from cellprep.core.windows import windows
from cellprep.errors import UsageError
from cellprep.learn.data.samples import CropSettings
from cellprep.store.documents import is_huge

_PART = 1024  # pixels: side of the parts of a huge image


def crops_of(shapes: Sequence[tuple[int, int]], crop: int) -> NDArray[np.float64]:
    """Return the number of crops in each image: its area in crops, but at least one.

    Parameters
    ----------
    shapes
        (H, W) of each image.
    crop
        Side of a crop, in pixels.

    Examples
    --------
    >>> crops_of([(256, 256), (1024, 1024), (100, 256)], 256)
    array([ 1., 16.,  1.])
    """
    return np.array([max(1.0, height * width / crop**2) for height, width in shapes])


def draw_images(weights: NDArray[np.float64], count: int, rng: np.random.Generator) -> NDArray[np.intp]:
    """Draw images in proportion to their weights, as evenly as whole numbers allow.

    Parameters
    ----------
    weights
        (n,): weight of each image.
    count
        Number of images to draw.
    rng
        Source of the random numbers.

    Returns
    -------
    ndarray
        (count,) indices of images, in random order. The number of times an image is drawn differs from its share by
        less than one.

    Examples
    --------
    >>> np.bincount(draw_images(np.array([1, 2, 1.5]), 9, np.random.default_rng(0)))
    array([2, 4, 3])
    """
    ends = np.cumsum(weights) / np.sum(weights) * count
    drawn = np.searchsorted(ends, np.arange(count) + rng.random(), side="right")
    images: NDArray[np.intp] = rng.permutation(np.minimum(drawn, len(weights) - 1))
    return images


class Draw(NamedTuple):
    """A sample to make.

    Attributes
    ----------
    image
        Index of its image in the set.
    epoch, place
        Numbers that, with the seed, determine its random numbers.
    part
        Rows and columns of the part to show, if a huge image is shown in parts.
    """

    image: int
    epoch: int
    place: int
    part: tuple[slice, slice] | None = None


class Draws(Protocol):
    """The samples of each epoch."""

    def __len__(self) -> int:
        """Return the number of samples in an epoch."""

    def of(self, epoch: int, place: int) -> Draw:
        """Return a sample by its place in an epoch."""


class CropDraws:
    """Crops of images, drawn anew for each epoch in proportion to their area, from the seed and the epoch alone."""

    def __init__(self, shapes: Sequence[tuple[int, int]], settings: CropSettings) -> None:
        self._weights = crops_of(shapes, settings.crop)
        self._count = settings.samples_per_epoch or int(np.ceil(self._weights.sum()))
        self._seed = settings.seed
        self._drawn: tuple[int, NDArray[np.intp]] | None = None

    def __len__(self) -> int:
        return self._count

    def of(self, epoch: int, place: int) -> Draw:
        """Return a sample by its place in an epoch."""
        if self._drawn is None or self._drawn[0] != epoch:
            self._drawn = epoch, draw_images(self._weights, self._count, np.random.default_rng([self._seed, epoch]))
        return Draw(int(self._drawn[1][place]), epoch, place)


class WholeDraws:
    """Whole images, or parts of huge ones, in order, the same in every epoch."""

    def __init__(self, shapes: Sequence[tuple[int, int]]) -> None:
        parts = [(image, part) for image, shape in enumerate(shapes) for part in _parts(shape)]
        self._draws = [Draw(image, 0, place, part) for place, (image, part) in enumerate(parts)]

    def __len__(self) -> int:
        return len(self._draws)

    def of(self, epoch: int, place: int) -> Draw:
        """Return a sample by its place in an epoch."""
        return self._draws[place]


def crop_batches(count: int, batch_size: int, rank: int = 0, processes: int = 1) -> list[list[int]]:
    """Return the positions of the samples in each batch of an epoch, or one process's share of each batch.

    Raises
    ------
    UsageError
        If the last batch has too few samples for all processes.

    Examples
    --------
    >>> crop_batches(7, 5)
    [[0, 1, 2, 3, 4], [5, 6]]
    >>> crop_batches(7, 5, rank=1, processes=2)
    [[1, 3], [6]]
    """
    if (least := (count - 1) % batch_size + 1) < processes:
        raise UsageError(
            f"the last batch of an epoch has too few samples, {least}, for {processes} processes: change the "
            "--batch-size"
        )
    batches = (range(first, min(first + batch_size, count)) for first in range(0, count, batch_size))
    return [[*batch[rank::processes]] for batch in batches]


def _parts(shape: tuple[int, int]) -> Iterator[tuple[slice, slice] | None]:
    if is_huge(shape):
        yield from windows(shape, _PART)
    else:
        yield None
