"""Grey values as networks see them: the same for every image of a data set, and kept with the weights."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError

__all__ = ["NORMALISATIONS", "Normalisation"]

#: The kinds, the default one first, and what each does.
NORMALISATIONS = {
    "dataset": "each channel has mean 0 and standard deviation 1 over all images",
    "percentile": "percentiles 1 and 99.8 of each channel of each image become 0 and 1",
}


@dataclass(frozen=True, slots=True)
class Normalisation:
    """How grey values are brought to the range that networks learn from.

    Attributes
    ----------
    kind
        A name in `NORMALISATIONS`.
    low, high
        Per channel. ``dataset``: the mean, and the mean plus a standard deviation, in grey values;
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

    def apply(self, image: NDArray[Any], whole: NDArray[Any] | None = None) -> NDArray[np.float32]:
        """Normalise an image or a part of one.

        Parameters
        ----------
        image
            (C, H, W), of any real dtype.
        whole
            The (C, H', W') image that it is a part of, whose percentiles count; itself unless given.

        Returns
        -------
        ndarray
            (C, H, W) float32. A channel of one value becomes 0.

        Raises
        ------
        UsageError
            If the image has another number of channels.
        """
        if image.ndim != 3 or len(image) != self.channels:
            raise UsageError(f"the image has shape {image.shape}: it should be ({self.channels}, H, W)")
        low, high = np.array(self.low), np.array(self.high)
        if self.kind == "percentile":
            reference = image if whole is None else whole
            pairs = zip(reference, low, high, strict=True)
            low, high = np.array([np.percentile(channel, limits) for channel, *limits in pairs]).T
        span = np.where(high > low, high - low, 1)
        normalised: NDArray[np.float32] = (
            (image - low[:, None, None].astype(np.float32)) / span[:, None, None].astype(np.float32)
        ).astype(np.float32, copy=False)
        return normalised
