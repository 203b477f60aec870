"""How cells look in images, in a few numbers: what tells images that networks learned from apart from others."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError

#: How an image may differ from others, the most telling way first.
DIFFERENCES = ("polarity", "coverage", "background", "contrast", "noise", "size")

_MOST_PIXELS = 1 << 22  # of an image that are looked at; of a larger one some windows
_WINDOW, _WINDOWS_A_SIDE = 512, 4

_BLUR = 5  # pixels: a mean over so many takes out noise, and leaves nuclei
_SURROUNDINGS = 9  # pixels: a square about each pixel of a cell

# Two or three found cells may be dirt: they say little of cells, and of the range of the image's intensities.
_FEW = 4
# The limits were set on images of nuclei, phase contrast and their negatives; see docs/predict.md.
_TOLERANCE = 0.2  # of the range of intensities
_TOLERANCE_WITH_FEW = 0.45  # the background of mere noise lies in the middle of its range
_TOLERANCE_WITH_NONE = 0.75  # and with uneven light anywhere but at the end where cells would be
_CONTRAST_TOLERANCE = 2
_LEAST_CONTRAST = 0.05  # cells of less are brighter than their surroundings in one image and darker in the next
_COVERAGE_TOLERANCE = 2  # of the pixels that are of no cell
_SIZE_TOLERANCE = 1.25
_NOISE_TOLERANCE = 3

#: Differences of differences, across and down: 0 on any slope, and of white noise `RESIDUAL_WIDTH` times as wide as it.
RESIDUAL = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
RESIDUAL_WIDTH = 6
_HALF_WITHIN = 0.6745  # half of normal values are within so many standard deviations

Window = tuple[slice, slice]
Sampled = list[tuple[Window, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Appearance:
    """How the cells of an image look.

    Attributes
    ----------
    cells
        How many there are.
    coverage
        Share of the pixels that are of a cell.
    background
        Median intensity outside of cells. 0 is the darkest and 1 the brightest of the image, leaving out outliers.
        None if all pixels are of cells.
    contrast
        Median intensity of the cells' pixels less that of the pixels around them: above 0 where cells are brighter.
        None without cells, or without pixels around them.
    diameter
        Median diameter of the cells, as discs of their area, in pixels. None without cells.
    noise
        Standard deviation of what differs from pixel to pixel, as a share of the range of intensities.
    """

    cells: int
    coverage: float
    background: float | None
    contrast: float | None
    diameter: float | None
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class AppearanceRange:
    """How cells look in many images: lows and highs, each of an `Appearance`'s number.

    Attributes
    ----------
    coverage, background, contrast
        Percentiles 1 and 99 over images.
    diameter
        Percentiles 1 and 99 over all cells, in pixels; None if it is not known where cells part.
    noise
        As of images; None in weights that were made before it was measured.
    median_diameter
        Of all cells, in pixels; None if it is not known, or in weights that were made before it was kept.

    Raises
    ------
    UsageError
        If a low is above its high, or no finite number.

    Examples
    --------
    >>> nuclei = AppearanceRange(coverage=(0, 0.4), background=(0, 0.1), contrast=(0.2, 0.7), diameter=(6, 60))
    >>> nuclei.difference(Appearance(cells=30, coverage=0.2, background=0.95, contrast=-0.5, diameter=20))
    'polarity'
    >>> nuclei.difference(Appearance(cells=30, coverage=0.2, background=0.05, contrast=0.5, diameter=120))
    'size'
    """

    coverage: tuple[float, float]
    background: tuple[float, float]
    contrast: tuple[float, float]
    diameter: tuple[float, float] | None = None
    noise: tuple[float, float] | None = None
    median_diameter: float | None = None

    def __post_init__(self) -> None:
        for name in ("coverage", "background", "contrast", "diameter", "noise"):
            low, high = getattr(self, name) or (0, 0)
            if not -np.inf < low <= high < np.inf:
                raise UsageError(f"the {name} of cells from {low} to {high} is no range")
        if self.median_diameter is not None and not 0 < self.median_diameter < np.inf:
            raise UsageError(f"the median diameter of cells, {self.median_diameter}, is no length above 0")

    @classmethod
    def of(cls, found: Sequence[Appearance], diameters: NDArray[np.float64] | None) -> "AppearanceRange | None":
        """Return the ranges of what was measured on images; None where nothing was.

        Parameters
        ----------
        found
            One per image.
        diameters
            (n,): of all cells in them, in pixels, where they are known.
        """
        measured = [image for image in found if image.background is not None and image.contrast is not None]
        if not measured:
            return None
        coverage = _range([image.coverage for image in measured])
        background = _range([image.background for image in measured])
        contrast = _range([image.contrast for image in measured])
        noise = _range([image.noise for image in measured], digits=4)
        if diameters is None:
            return cls(coverage, background, contrast, None, noise)
        median = round(float(np.median(diameters)), 1)
        return cls(coverage, background, contrast, _range(diameters, digits=1), noise, median)

    @property
    def middle_diameter(self) -> float | None:
        """The median diameter; where it was not kept the geometric mean of the usual ones; None if none is known."""
        if self.median_diameter is not None or self.diameter is None or self.diameter[0] <= 0:
            return self.median_diameter
        low, high = self.diameter
        return float(np.sqrt(low * high))

    @property
    def polarity(self) -> int:
        """1 if cells are brighter than what surrounds them, -1 if darker; 0 if now this, now that, or hardly."""
        low, high = self.contrast
        return int(low > _LEAST_CONTRAST) - int(high < -_LEAST_CONTRAST)

    def difference(self, image: Appearance) -> str:
        """Return the first way in which an image differs, a name in `DIFFERENCES`; nothing if it is alike."""
        few = image.cells < _FEW
        tests = {
            "polarity": not few and self._stands_out(image) < 0,
            "coverage": 1 - image.coverage < (1 - self.coverage[1]) / _COVERAGE_TOLERANCE,
            "background": self._has_other_background(image, few),
            "contrast": not few and self._stands_out(image) < 1 / _CONTRAST_TOLERANCE,
            "noise": not few and self.noise is not None and image.noise > _NOISE_TOLERANCE * self.noise[1],
            "size": not few and self._has_other_size(image),
        }
        return next((name for name in DIFFERENCES if tests[name]), "")

    def _stands_out(self, image: Appearance) -> float:
        """Return the contrast as a multiple of the least usual one, below 0 if it is reversed; 1 if none is usual."""
        if image.contrast is None or not self.polarity:
            return 1.0
        return image.contrast / (self.contrast[0] if self.polarity > 0 else self.contrast[1])

    def _has_other_background(self, image: Appearance, few: bool) -> bool:
        low, high = self.background
        tolerance = _TOLERANCE if not few else _TOLERANCE_WITH_FEW if image.cells else _TOLERANCE_WITH_NONE
        return image.background is not None and not low - tolerance <= image.background <= high + tolerance

    def _has_other_size(self, image: Appearance) -> bool:
        if self.diameter is None or image.diameter is None:
            return False
        low, high = self.diameter
        return not low / _SIZE_TOLERANCE <= image.diameter <= high * _SIZE_TOLERANCE


def _range(values: Any, digits: int = 3) -> tuple[float, float]:
    low, high = np.percentile(np.asarray(values, np.float64), [1, 99]).round(digits)
    return float(low), float(high)


def sample_pixels(image: Any) -> Sampled:
    """Return the intensities of an image, the mean of its channels, or of windows that are spread over a large one.

    Parameters
    ----------
    image
        (C, H, W), of any real dtype: an array, or a `WindowedArray`, of which no more is read than is returned.

    Returns
    -------
    list
        Windows, as rows and columns, each with its (h, w) float32 intensities.
    """
    windows = sample_windows(image.shape[1:])
    return [(window, np.asarray(image[(..., *window)]).mean(0, dtype=np.float32)) for window in windows]


def sample_windows(shape: tuple[int, int]) -> list[Window]:
    """Return all of an image of a shape (H, W), or windows that are spread over a large one: rows and columns."""
    height, width = shape
    if height * width <= _MOST_PIXELS:
        return [(slice(0, height), slice(0, width))]
    return [(rows, columns) for rows in _spread(height) for columns in _spread(width)]


def _spread(size: int) -> list[slice]:
    """Return parts of one side of an image, evenly apart; none twice."""
    starts = np.linspace(0, max(0, size - _WINDOW), _WINDOWS_A_SIDE).astype(int)
    return [slice(start, min(size, start + _WINDOW)) for start in sorted(set(starts.tolist()))]


def measure_appearance(pixels: Sampled, labels: Any, areas: NDArray[np.int64]) -> Appearance:
    """Measure how cells look in an image.

    Parameters
    ----------
    pixels
        Of the image, from `sample_pixels`.
    labels
        (H, W) integers, 0 = background: an array, or a `WindowedArray`.
    areas
        (n,): pixels of each cell.

    Examples
    --------
    >>> labels = np.zeros((60, 60), int)
    >>> labels[20:40, 20:40] = 1
    >>> image = np.where(labels > 0, 200, 50)[None]
    >>> found = measure_appearance(sample_pixels(image), labels, np.array([400]))
    >>> found.background, round(found.contrast, 1), round(found.diameter, 1)
    (0.0, 1.0, 22.6)
    """
    smooth = [cv2.blur(part, (_BLUR, _BLUR), borderType=cv2.BORDER_REFLECT) for _, part in pixels]
    inside = [np.asarray(labels[window]) > 0 for window, _ in pixels]
    square = np.ones((_SURROUNDINGS, _SURROUNDINGS), np.uint8)
    around = [cv2.dilate(mask.view(np.uint8), square).view(bool) & ~mask for mask in inside]
    grey, cell, near = (np.concatenate([part.ravel() for part in parts]) for parts in (smooth, inside, around))
    low, high = np.percentile(grey, [1, 99.8])
    if cell.any():  # few cells may lie beyond the percentiles
        darkest, brightest = np.percentile(grey[cell], [10, 90])
        low, high = min(low, darkest), max(high, brightest)
    scale = float(high - low) or 1.0

    def median(chosen: NDArray[np.bool_]) -> float | None:
        return float((np.median(grey[chosen]) - low) / scale) if chosen.any() else None

    of_cells, of_surroundings = median(cell), median(near)
    contrast = None if of_cells is None or of_surroundings is None else of_cells - of_surroundings
    diameter = float(np.median(diameters_of(areas))) if len(areas) else None
    noise = _noise_of([part for _, part in pixels]) / scale
    return Appearance(len(areas), float(cell.mean()), median(~cell), contrast, diameter, noise)


def _noise_of(parts: list[NDArray[np.float32]]) -> float:
    """Return the standard deviation of the noise in parts of an image, whatever shapes and slopes there are."""
    residuals = [np.abs(cv2.filter2D(part, -1, RESIDUAL, borderType=cv2.BORDER_REFLECT)).ravel() for part in parts]
    return float(np.median(np.concatenate(residuals))) / (_HALF_WITHIN * RESIDUAL_WIDTH)


def diameters_of(areas: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the diameters of discs of so many pixels."""
    diameters: NDArray[np.float64] = np.sqrt(4 / np.pi * areas)
    return diameters
