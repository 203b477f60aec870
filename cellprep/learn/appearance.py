"""Appearance of cells in a few numbers: they show which images differ from those that a network learned from."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError

#: The ways in which an image may differ from others, the most informative first.
DIFFERENCES = ("polarity", "coverage", "background", "contrast", "noise", "size")

_MOST_PIXELS = 1 << 22  # of an image that are measured; of larger images, windows
_WINDOW, _WINDOWS_A_SIDE = 512, 4

_BLUR = 5  # pixels: a mean over this width removes noise, but not nuclei
_SURROUNDINGS = 9  # pixels: side of a square around each pixel of a cell

# Two or three detected cells may be dirt: they say little about cells and about the range of intensities.
_FEW = 4
# The limits were set on images of nuclei, phase contrast and their negatives; see docs/predict.md.
_TOLERANCE = 0.2  # of the range of intensities
_TOLERANCE_WITH_FEW = 0.45  # the background of pure noise is in the middle of its range
_TOLERANCE_WITH_NONE = 0.75  # and with uneven illumination anywhere except where cells would be
_CONTRAST_TOLERANCE = 2
_LEAST_CONTRAST = 0.05  # below, cells are brighter than their surroundings in some images and darker in others
_COVERAGE_TOLERANCE = 2  # of the share of background pixels
_SIZE_TOLERANCE = 1.25
_NOISE_TOLERANCE = 3

#: Second differences, across and down: 0 on any slope. Those of white noise are `RESIDUAL_WIDTH` times as wide as it.
RESIDUAL = np.outer([1, -2, 1], [1, -2, 1]).astype(np.float32)
RESIDUAL_WIDTH = 6
_HALF_WITHIN = 0.6745  # half of normally distributed values are within so many standard deviations

Window = tuple[slice, slice]
Sampled = list[tuple[Window, NDArray[np.float32]]]


@dataclass(frozen=True, slots=True)
class Appearance:
    """The appearance of the cells of an image.

    Attributes
    ----------
    cells
        Number of cells.
    coverage
        Share of the pixels that belong to cells.
    background
        Median intensity outside cells. 0 is the darkest and 1 the brightest intensity of the image, without outliers.
        None if all pixels belong to cells.
    contrast
        Median intensity of the cells' pixels minus that of the pixels around them: above 0 if cells are brighter.
        None without cells, or without pixels around them.
    diameter
        Median equivalent diameter of the cells (discs of equal area), in pixels. None without cells.
    noise
        Standard deviation of the noise from pixel to pixel, as a share of the range of intensities.
    """

    cells: int
    coverage: float
    background: float | None
    contrast: float | None
    diameter: float | None
    noise: float = 0.0


@dataclass(frozen=True, slots=True)
class AppearanceRange:
    """The appearance of cells in many images: the lowest and highest usual value of each number of `Appearance`.

    Attributes
    ----------
    coverage, background, contrast
        Percentiles 1 and 99 over images.
    diameter
        Percentiles 1 and 99 over all cells, in pixels; None if touching cells are not separated.
    noise
        Percentiles 1 and 99 over images; None in weights from before it was measured.
    median_diameter
        Of all cells, in pixels; None if it is unknown, or in weights from before it was saved.

    Raises
    ------
    UsageError
        If a low is above its high, or not finite.

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
                raise UsageError(f"the {name} of cells from {low} to {high} is not a valid range")
        if self.median_diameter is not None and not 0 < self.median_diameter < np.inf:
            raise UsageError(f"the median diameter of cells is {self.median_diameter}: it must be above 0")

    @classmethod
    def of(cls, found: Sequence[Appearance], diameters: NDArray[np.float64] | None) -> "AppearanceRange | None":
        """Return the ranges of measured images; None if no image was measured.

        Parameters
        ----------
        found
            One per image.
        diameters
            (n,): of all their cells, in pixels, if they are known.
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
        """The median diameter; if it was not saved, the geometric mean of the usual ones; None if these are unknown."""
        if self.median_diameter is not None or self.diameter is None or self.diameter[0] <= 0:
            return self.median_diameter
        low, high = self.diameter
        return float(np.sqrt(low * high))

    @property
    def polarity(self) -> int:
        """1 if cells are brighter than their surroundings, -1 if darker; 0 if it varies, or differs too little."""
        low, high = self.contrast
        return int(low > _LEAST_CONTRAST) - int(high < -_LEAST_CONTRAST)

    def difference(self, image: Appearance) -> str:
        """Return the first way in which an image differs, a name in `DIFFERENCES`; an empty string if it is similar."""
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
        """Return the contrast as a multiple of the lowest usual one: below 0 if reversed, 1 if none is usual."""
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
    """Return the intensities of an image, as the mean of its channels; of a large image, those of spread windows.

    Parameters
    ----------
    image
        (C, H, W), of any real dtype: an array, or a `WindowedArray`, of which only what is returned is read.

    Returns
    -------
    list
        Windows as rows and columns, each with its (h, w) float32 intensities.
    """
    windows = sample_windows(image.shape[1:])
    return [(window, np.asarray(image[(..., *window)]).mean(0, dtype=np.float32)) for window in windows]


def sample_windows(shape: tuple[int, int]) -> list[Window]:
    """Return rows and columns of a whole image of a shape (H, W); of a large image, those of spread windows."""
    height, width = shape
    if height * width <= _MOST_PIXELS:
        return [(slice(0, height), slice(0, width))]
    return [(rows, columns) for rows in _spread(height) for columns in _spread(width)]


def _spread(size: int) -> list[slice]:
    """Return evenly spaced parts of one side of an image, without repetition."""
    starts = np.linspace(0, max(0, size - _WINDOW), _WINDOWS_A_SIDE).astype(int)
    return [slice(start, min(size, start + _WINDOW)) for start in sorted(set(starts.tolist()))]


def measure_appearance(pixels: Sampled, labels: Any, areas: NDArray[np.int64]) -> Appearance:
    """Measure the appearance of cells in an image.

    Parameters
    ----------
    pixels
        Intensities of the image, from `sample_pixels`.
    labels
        (H, W) integers, 0 = background: an array, or a `WindowedArray`.
    areas
        (n,): area of each cell, in pixels.

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
    """Return the standard deviation of the noise in parts of an image, regardless of shapes and slopes."""
    residuals = [np.abs(cv2.filter2D(part, -1, RESIDUAL, borderType=cv2.BORDER_REFLECT)).ravel() for part in parts]
    return float(np.median(np.concatenate(residuals))) / (_HALF_WITHIN * RESIDUAL_WIDTH)


def diameters_of(areas: NDArray[np.int64]) -> NDArray[np.float64]:
    """Return the diameters of discs of these areas."""
    diameters: NDArray[np.float64] = np.sqrt(4 / np.pi * areas)
    return diameters
