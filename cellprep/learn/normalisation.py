"""Intensities as networks see them: normalised in the same way for every image, which is kept with the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError
from cellprep.learn.windowed import parts

#: The kinds, the default one first, and what each does.
NORMALISATIONS = {
    "dataset": "each channel has mean 0 and standard deviation 1 over all images",
    "percentile": "percentiles 1 and 99.8 of each channel of each image become 0 and 1",
}


_MOST_SORTED = 1 << 24  # pixels


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How intensities are brought to the range that networks learn from.

    Attributes
    ----------
    kind
        A name in `NORMALISATIONS`.
    low, high
        Per channel. ``dataset``: the mean, and the mean plus a standard deviation, in intensities;
        ``percentile``: the percentiles, 0 to 100, that become 0 and 1.

    Raises
    ------
    UsageError
        If there is no such kind, or the channels do not agree.

    Examples
    --------
    >>> Normalisation("dataset", low=(100.0,), high=(150.0,)).apply(np.array([[[50, 100, 200]]], np.uint8))
    array([[[-1.,  0.,  2.]]], dtype=float32)
    """

    kind: str
    low: tuple[float, ...]
    high: tuple[float, ...]

    def __post_init__(self) -> None:
        if self.kind not in NORMALISATIONS:
            raise UsageError(f"normalisation {self.kind!r} is unknown: it is one of {', '.join(NORMALISATIONS)}")
        object.__setattr__(self, "low", tuple(map(float, self.low)))
        object.__setattr__(self, "high", tuple(map(float, self.high)))
        if len(self.low) != len(self.high) or not self.low:
            raise UsageError(f"normalisation has {len(self.low)} low and {len(self.high)} high values: one per channel")

    @property
    def channels(self) -> int:
        """Number of channels of the images."""
        return len(self.low)

    def limits(self, image: NDArray[Any]) -> NDArray[np.float64]:
        """Return the intensities of an image that become 0 and 1.

        Parameters
        ----------
        image
            (C, H, W), of any real dtype: a whole image.

        Returns
        -------
        ndarray
            (2, C) float64. For a channel of one value the second is greater by 1.

        Raises
        ------
        UsageError
            If the image has another number of channels.
        """
        self._check(image)
        low, high = np.array(self.low), np.array(self.high)
        if self.kind == "percentile":
            low, high = _percentiles(image, self.low, self.high)
        return np.stack([low, np.where(high > low, high, low + 1)])

    def apply(
        self, image: NDArray[Any], whole: NDArray[Any] | None = None, limits: NDArray[np.float64] | None = None
    ) -> NDArray[np.float32]:
        """Normalise an image or a part of one.

        Parameters
        ----------
        image
            (C, H, W), of any real dtype.
        whole
            The (C, H', W') image that it is a part of, whose percentiles count; itself unless given.
        limits
            The `limits` of the whole image, where they are known.

        Returns
        -------
        ndarray
            (C, H, W) float32. A channel of one value becomes 0.

        Raises
        ------
        UsageError
            If the image has another number of channels.
        """
        self._check(image)
        if limits is None:
            limits = self.limits(image if whole is None else whole)
        low, high = limits[:, :, None, None]
        if image.dtype in (np.uint8, np.uint16, np.float32):  # which lose nothing as float32
            low, high = low.astype(np.float32), high.astype(np.float32)
        normalised: NDArray[np.float32] = ((image - low) / (high - low)).astype(np.float32, copy=False)
        return normalised

    def _check(self, image: NDArray[Any]) -> None:
        if image.ndim != 3 or len(image) != self.channels:
            raise UsageError(f"the image has shape {image.shape}: it should be ({self.channels}, H, W)")


def _percentiles(image: NDArray[Any], low: Sequence[float], high: Sequence[float]) -> NDArray[np.float64]:
    """Return percentiles of each channel as `numpy.percentile` does: (2, C).

    Small whole numbers are counted, which is many times as fast; of others in a huge image some are chosen, evenly.
    """
    if image.dtype not in (np.uint8, np.uint16):
        step = int(np.ceil(np.sqrt(image.shape[1] * image.shape[2] / _MOST_SORTED)))
        chosen = np.concatenate([part[:, ::step, ::step].reshape(len(part), -1) for part in parts(image)], axis=1)
        channels = zip(chosen.astype(np.float64), low, high, strict=True)
        return np.stack([np.percentile(channel, ends) for channel, *ends in channels], axis=1)
    levels = np.iinfo(image.dtype).max + 1
    counts = np.zeros((len(image), levels), np.int64)
    for part in parts(image):
        counts += [np.bincount(channel.ravel(), minlength=levels) for channel in part]
    return np.stack([_counted(*values) for values in zip(counts, low, high, strict=True)], axis=1)


def _counted(counts: NDArray[np.int64], low: float, high: float) -> NDArray[np.float64]:
    reached = np.cumsum(counts)
    places = np.array([low, high]) / 100 * (reached[-1] - 1)
    below, above = (np.searchsorted(reached, place, side="right") for place in (np.floor(places), np.ceil(places)))
    limits: NDArray[np.float64] = below + (above - below) * (places - np.floor(places))
    return limits
