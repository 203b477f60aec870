"""Which images an epoch shows, in which order, and in which batches."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.core.windows import windows
from cellprep.errors import UsageError
from cellprep.learn.data.samples import CropSettings
from cellprep.store.documents import is_huge

_PART = 1024  # pixels on a side, of a huge image


def crops_of(shapes: Sequence[tuple[int, int]], crop: int) -> NDArray[np.float64]:
    """Return how many crops are in each image: its area in crops, but at least one.

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
    """Draw images in proportion to their weights, each as evenly as whole numbers allow.

    Parameters
    ----------
    weights
        (n,): of each image.
    count
        How many to draw.
    rng
        Where the random numbers come from.

    Returns
    -------
    ndarray
        (count,) indices of images, in random order. How often an image is drawn differs by less than one from
        its share.

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
    """One sample to make: its image, and what its random numbers derive from; of a huge one validated, which part."""

    image: int
    epoch: int
    place: int
    part: tuple[slice, slice] | None = None


class CropBatches:
    """Batches of the samples of an epoch; of each, the share of one process of several."""

    def __init__(
        self,
        shapes: Sequence[tuple[int, int]],
        settings: CropSettings,
        batch_size: int,
        rank: int = 0,
        processes: int = 1,
    ) -> None:
        self.epoch = 0
        self._weights = crops_of(shapes, settings.crop)
        self._count = settings.samples_per_epoch or int(np.ceil(self._weights.sum()))
        self._seed = settings.seed
        self._batch_size = batch_size
        self._share = slice(rank, None, processes)
        if (least := (self._count - 1) % batch_size + 1) < processes:
            raise UsageError(
                f"the last batch of an epoch has {least} samples, too few for {processes} processes: give another "
                "--batch-size"
            )

    def __len__(self) -> int:
        return int(np.ceil(self._count / self._batch_size))

    def __iter__(self) -> Iterator[list[Draw]]:
        images = draw_images(self._weights, self._count, np.random.default_rng([self._seed, self.epoch]))
        draws = [Draw(int(image), self.epoch, place) for place, image in enumerate(images)]
        for first in range(0, len(draws), self._batch_size):
            yield draws[first : first + self._batch_size][self._share]


class WholeBatches:
    """Batches of one image each, or of a part of a huge one, in order, the same in every epoch.

    Of several processes each has its share: one batch in so many.
    """

    def __init__(self, shapes: Sequence[tuple[int, int]], rank: int = 0, processes: int = 1) -> None:
        self.epoch = 0
        parts = [(image, part) for image, shape in enumerate(shapes) for part in _parts(shape)]
        self._draws = [Draw(image, 0, place, part) for place, (image, part) in enumerate(parts)][rank::processes]

    def __len__(self) -> int:
        return len(self._draws)

    def __iter__(self) -> Iterator[list[Draw]]:
        return ([draw] for draw in self._draws)


def _parts(shape: tuple[int, int]) -> Iterator[tuple[slice, slice] | None]:
    if is_huge(shape):
        yield from windows(shape, _PART)
    else:
        yield None
