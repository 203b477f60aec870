"""Normalisation of the intensities that networks see: the same for every image, and saved with the weights."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError
from cellprep.learn.appearance import RESIDUAL, RESIDUAL_WIDTH, sample_windows
from cellprep.learn.windowed import parts

#: The kinds, the default one first, with a description of each.
NORMALISATIONS = {
    "dataset": "each channel has mean 0 and standard deviation 1 over all images",
    "percentile": "percentiles 1 and 99.8 of each channel of each image become 0 and 1",
    "noise-floor": "as percentile, but the range is at least many times the noise, and values above 4 become 4",
}


_MOST_SORTED = 1 << 24  # pixels

_BRIGHTEST = 4.0  # so that hot pixels and bright debris do not hide their surroundings

# Correlated noise is visible in means of 2 x 2 or 4 x 4 pixels. Half of the single pixels may be clipped at 0, so
# that three quarters are used; of the means half are used, as more of them are at the rims of cells. Per scale: the
# share that is used; the number of deviations that contains this share of normally distributed values; and the least
# range, in deviations. Of 600 images of nuclei, 99 % have a larger range at all scales; that of pure noise is 5 to 20
# deviations at one scale at least.
_NOISE_SCALES = {1: (0.75, 1.1503, 40), 2: (0.5, 0.6745, 60), 4: (0.5, 0.6745, 80)}
_ROUNDED = 12**-0.5  # deviation of the noise from rounding to whole numbers


@dataclass(frozen=True, slots=True)
class Normalisation:
    """A mapping of intensities to the range that networks are trained on.

    Attributes
    ----------
    kind
        A name in `NORMALISATIONS`.
    low, high
        Per channel. ``dataset``: the mean, and the mean plus a standard deviation, in intensities;
        ``percentile`` and ``noise-floor``: the percentiles, 0 to 100, that become 0 and 1.

    Raises
    ------
    UsageError
        If the kind is unknown, or the numbers of channels differ.

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
            raise UsageError(f"normalisation {self.kind!r} is unknown: use one of {', '.join(NORMALISATIONS)}")
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
            (2, C) float64. For a constant channel, the second is greater by 1.

        Raises
        ------
        UsageError
            If the image has another number of channels.
        """
        self._check(image)
        low, high = np.array(self.low), np.array(self.high)
        if self.kind != "dataset":
            low, high = _percentiles(image, self.low, self.high)
        if self.kind == "noise-floor":
            high = np.maximum(high, low + least_range(image))
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
            The (C, H', W') image that it is a part of, whose percentiles are used; by default the image itself.
        limits
            The `limits` of the whole image, if known.

        Returns
        -------
        ndarray
            (C, H, W) float32. A constant channel becomes 0.

        Raises
        ------
        UsageError
            If the image has another number of channels.
        """
        self._check(image)
        if limits is None:
            limits = self.limits(image if whole is None else whole)
        low, high = limits[:, :, None, None]
        if image.dtype in (np.uint8, np.uint16, np.float32):  # lossless in float32
            low, high = low.astype(np.float32), high.astype(np.float32)
        normalised: NDArray[np.float32] = ((image - low) / (high - low)).astype(np.float32, copy=False)
        return np.minimum(normalised, np.float32(_BRIGHTEST)) if self.kind == "noise-floor" else normalised

    def apply_alone(self, image: NDArray[Any]) -> NDArray[np.float32]:
        """Normalise a synthetic image: by its own percentiles, or for ``dataset`` to a spread of 1 at most."""
        if self.kind != "dataset":
            return self.apply(image)
        scale = max(float(image.std()), 1.0)
        alone: NDArray[np.float32] = ((image - image.mean()) / scale).astype(np.float32)
        return alone

    def _check(self, image: NDArray[Any]) -> None:
        if image.ndim != 3 or len(image) != self.channels:
            raise UsageError(f"the image has shape {image.shape}: it must be ({self.channels}, H, W)")


def least_range(image: NDArray[Any]) -> NDArray[np.float64]:
    """Return the least range of intensities of a channel that shows more than noise: (C,).

    It is 40 times the standard deviation of white noise, or 60 or 80 times that of the noise in means of 2 x 2 or 4 x 4
    pixels, whichever is largest. Noise is estimated from second differences, across and down, which neither shapes nor
    slopes affect. For integers, it is at least that of rounding. Of images above 4 million pixels, windows are used.

    Parameters
    ----------
    image
        (C, H, W), of any real dtype.

    Examples
    --------
    >>> noisy = np.random.default_rng(0).normal(100, 5, (1, 200, 200))
    >>> least_range(noisy).round(-1), least_range(noisy + np.arange(200) ** 2).round(-1)
    (array([200.]), array([200.]))
    """
    parts = [_shifted(np.asarray(image[(..., *window)])) for window in sample_windows(image.shape[1:])]
    least = _NOISE_SCALES[1][2] * _ROUNDED if image.dtype.kind in "iu" else 0.0
    return np.array(
        [
            max([least, *(_range_at([part[channel] for part in parts], scale) for scale in _NOISE_SCALES)])
            for channel in range(len(image))
        ]
    )


def _shifted(part: NDArray[Any]) -> NDArray[np.float32]:
    """Return intensities relative to the lowest one, so that float32 preserves their differences."""
    shifted: NDArray[np.float32] = np.subtract(part, part.min(), dtype=np.float64).astype(np.float32)
    return shifted


def _range_at(parts: list[NDArray[np.float32]], scale: int) -> float:
    """Return the least range by the noise in means of `scale` x `scale` pixels; 0 if there are too few means."""
    residuals = [np.zeros(0, np.float32)]
    for part in parts:
        height, width = (side // scale for side in part.shape)
        if min(height, width) > 2:
            whole = np.ascontiguousarray(part[: height * scale, : width * scale])
            means = cv2.resize(whole, (width, height), interpolation=cv2.INTER_AREA)
            residuals.append(np.abs(cv2.filter2D(means, -1, RESIDUAL)[1:-1, 1:-1]).ravel())
    found = np.concatenate(residuals)
    share, within, deviations = _NOISE_SCALES[scale]
    return deviations * float(np.quantile(found, share)) / (within * RESIDUAL_WIDTH) if len(found) else 0.0


def _percentiles(image: NDArray[Any], low: Sequence[float], high: Sequence[float]) -> NDArray[np.float64]:
    """Return percentiles of each channel as `numpy.percentile` does: (2, C).

    Small integers are counted, which is many times as fast; of other types, huge images are sampled evenly.
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
