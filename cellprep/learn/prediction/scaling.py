"""Images at the scale that networks know, and what was found in them at their own."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellprep.core.cells import look_up
from cellprep.core.shrinking import shrink_image, shrink_pixels, shrunk_shape
from cellprep.errors import UsageError
from cellprep.formats.images.pixel_size import Sides
from cellprep.learn.pixel_size import ALIKE
from cellprep.system.memory import check_memory
from cellprep.text.wording import capped, count, printable

#: Fewer cells do not tell how large those of an image are.
LEAST_CELLS = 10

_TYPES = (np.uint8, np.uint16, np.int16, np.float32, np.float64)  # that OpenCV resizes


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale at which networks see an image.

    Attributes
    ----------
    shape
        (H, W) of the image.
    seen
        (H, W) as the networks see it.
    shrink
        N, if each pixel that they see is the mean of N x N, as in a store at 1/N of the size; 1 if they are resampled.
    """

    shape: tuple[int, int]
    seen: tuple[int, int]
    shrink: int = 1

    @classmethod
    def of(cls, shape: tuple[int, int], sides: Sides | None, learned: float | None, shrink: int = 1) -> "Scale | None":
        """Return the scale of an image; None if it is seen as it is.

        Parameters
        ----------
        shape
            (H, W) of the image.
        sides
            (y, x): the sides of its pixels, in micrometres or any other unit; None if they are unknown.
        learned
            The side of the pixels that networks learned from, in the same unit; None if it is unknown.
        shrink
            N, if these stood for N x N pixels each: an image that is to be as small is so exactly.

        Examples
        --------
        >>> Scale.of((100, 80), (1.0, 1.0), 0.5).seen
        (200, 160)
        >>> Scale.of((100, 80), (0.52, 0.52), 0.5), Scale.of((100, 80), None, 0.5)
        (None, None)
        >>> Scale.of((101, 80), (0.25, 0.25), 0.5, 2)
        Scale(shape=(101, 80), seen=(51, 40), shrink=2)
        """
        if sides is None or learned is None:
            return None
        for by in (shrink, 1):
            if all(_is_like(by * side, learned) for side in sides):
                return cls(shape, shrunk_shape(shape, by), by) if by > 1 else None
        y, x = (max(1, round(size * side / learned)) for size, side in zip(shape, sides, strict=True))
        return cls(shape, (y, x))

    @property
    def factors(self) -> tuple[float, float]:
        """(y, x): how many pixels the networks see for one of the image."""
        if self.shrink > 1:
            return 1 / self.shrink, 1 / self.shrink
        (y, x), (seen_y, seen_x) = self.shape, self.seen
        return seen_y / y, seen_x / x

    def image(self, image: Any) -> NDArray[Any]:
        """Return an image, (C, H, W), as the networks see it: means of pixels that become one, else interpolated.

        Raises
        ------
        TooLargeError
            If there is not the memory for it.
        """
        height, width = self.seen
        needed = len(image) * (height * width + self.shape[0] * self.shape[1]) * image.dtype.itemsize
        check_memory(needed, f"the image at the scale of the weights, {height} x {width} pixels,")
        pixels = np.asarray(image)
        if self.shrink > 1:
            return shrink_image(pixels, self.shrink)
        pixels = pixels if pixels.dtype in _TYPES else pixels.astype(np.float64)
        return np.stack([_resized(_resized(channel, (height, channel.shape[1])), self.seen) for channel in pixels])

    def classes_of(self, classes: NDArray[Any]) -> NDArray[Any]:
        """Return what is known of each pixel of the image, (H, W), for those that the networks see.

        Raises
        ------
        UsageError
            If it is of another size.
        """
        if classes.shape != self.shape:
            sizes = [f"{height} x {width}" for height, width in (classes.shape, self.shape)]
            raise UsageError(f"the mask is {sizes[0]}, and the image {sizes[1]} (height x width)")
        if self.shrink > 1:
            return shrink_pixels(classes, self.shrink)
        return classes[np.ix_(*map(_nearest, self.seen, self.shape))]

    def labels(self, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return instances that were found, at the scale of the image.

        Outlines of what becomes larger are interpolated: each pixel belongs to what has most of it.

        Parameters
        ----------
        labels
            (H, W) as the networks see it: 0 = background, then 1 to n.

        Returns
        -------
        labels
            (H, W) of the image, numbered in the order in which rows meet them.
        kept
            (m,) the number that each of them had; those without a pixel are left out.
        """
        height, width = self.shape
        if self.shrink > 1:  # the last blocks may reach beyond the image
            found = _enlarged(labels, (self.seen[0] * self.shrink, self.seen[1] * self.shrink))[:height, :width]
        elif height > self.seen[0] or width > self.seen[1]:
            found = _enlarged(labels, self.shape)
        else:
            found = labels[np.ix_(*map(_nearest, self.shape, self.seen))]
        numbers, firsts = np.unique(found, return_index=True)
        kept = numbers[numbers > 0][np.argsort(firsts[numbers > 0])].astype(np.int64)
        table = np.zeros(int(labels.max()) + 1, labels.dtype)
        table[kept] = np.arange(1, len(kept) + 1)
        return look_up(table, found), kept


def _is_like(one: float, other: float) -> bool:
    return max(one, other) <= (1 + ALIKE) * min(one, other)


def _resized(image: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    if image.shape == shape:
        return image
    is_smaller = shape[0] <= image.shape[0] and shape[1] <= image.shape[1]
    resized: NDArray[Any] = cv2.resize(
        np.ascontiguousarray(image), shape[::-1], interpolation=cv2.INTER_AREA if is_smaller else cv2.INTER_LINEAR
    )
    return resized


def _nearest(wanted: int, there: int) -> NDArray[np.int64]:
    """Return the index of the pixel of a row in which the middle of each wanted one lies."""
    return np.minimum(((np.arange(wanted) + 0.5) * there / wanted).astype(np.int64), there - 1)


def _enlarged(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return labels at a larger scale: the share of each in a pixel is interpolated between the middles of pixels."""
    found = np.zeros(shape, labels.dtype)
    most = _resized((labels == 0).astype(np.float32), shape)
    for number, box in enumerate(ndimage.find_objects(labels), start=1):
        if box is None:
            continue
        inside = np.pad(labels[box] == number, 1).astype(np.float32)
        rows, columns = (_around(*along) for along in zip(box, shape, labels.shape, strict=True))
        share = _between(_between(inside, rows[1]).T, columns[1]).T
        window = rows[0], columns[0]
        is_most = share > most[window]
        most[window][is_most] = share[is_most]
        found[window][is_most] = number
    return found


def _around(part: slice, wanted: int, there: int) -> tuple[slice, NDArray[np.float64]]:
    """Return the wanted pixels of a row that an object at some of those there may reach, and where they lie in it.

    Places count from the pixel before the object; what lies beyond the image's edge is at the edge.
    """
    first = max(0, int((part.start - 0.5) * wanted / there - 0.5))
    last = min(wanted, int((part.stop + 0.5) * wanted / there + 0.5) + 1)
    places = np.clip((np.arange(first, last) + 0.5) * there / wanted - 0.5, 0, there - 1)
    return slice(first, last), np.clip(places - part.start + 1, 0, part.stop - part.start + 1)


def _between(values: NDArray[np.float32], places: NDArray[np.float64]) -> NDArray[np.float32]:
    """Interpolate rows."""
    low = np.minimum(places.astype(np.int64), len(values) - 2)
    part = (places - low).astype(np.float32)[:, None]
    interpolated: NDArray[np.float32] = values[low] * (1 - part) + values[low + 1] * part
    return interpolated


@dataclass
class ScaleReport:
    """What became of the images' scales.

    Attributes
    ----------
    learned
        The side of the pixels that the networks learned from, in micrometres; None if it is unknown.
    shrink
        N, if images were stored at 1/N of their size for them.
    of_cells
        What is said of scales that cells decide; None where they do not.
    scaled
        Per image that was scaled its scale.
    known, unknown
        Numbers of images whose pixels' sides are known, and are not.
    """

    learned: float | None = None
    shrink: int = 1
    of_cells: "CellScales | None" = None
    scaled: dict[str, Scale] = field(default_factory=dict)
    known: int = 0
    unknown: int = 0

    def add(self, image_id: str, scale: Scale | None, *, is_known: bool, cells: float | None = None) -> None:
        """Count an image; `cells` is the median diameter of what was found at first, if enough was."""
        self.known += is_known
        self.unknown += not is_known
        if scale:
            self.scaled[image_id] = scale
        if self.of_cells:
            self.of_cells.found[image_id] = cells

    def notes(self) -> list[str]:
        """Return lines on what was scaled, and what could not be; none if no size is known."""
        if self.of_cells:
            return self.of_cells.notes(self.scaled)
        lines = []
        if shrunk := sum(scale.shrink > 1 for scale in self.scaled.values()):
            size = f"1/{self.shrink} of full size, as the training images were"
            lines = [f"{count(shrunk, 'image')} seen at {size}; cells are given back at full size"]
        if self.learned is None:
            why = "the weights do not know the size of the pixels that they learned from, so nothing is scaled"
            return lines or ([f"note: {why}"] if self.known else [])
        if others := {name: scale for name, scale in self.scaled.items() if scale.shrink == 1}:
            what = f"seen at the scale of the weights, {self.learned:g} µm a pixel, and given back at its own"
            lines += [f"{count(len(others), 'image')} {what}:", *_listed(others)]
        if self.unknown:
            size = f"at 1/{self.shrink} of its size" if self.shrink > 1 else "as stored"
            lines.append(
                f"note: {count(self.unknown, 'image')} of unknown pixel size seen {size}; the weights learned from "
                f"pixels of {self.learned:g} µm, --pixel-size tells those of the images"
            )
        return lines


@dataclass
class CellScales:
    """What is said of scales that the diameters of cells decide.

    Attributes
    ----------
    learned
        The median diameter of the cells that networks learned from, in pixels.
    given
        That of the images' cells; None if it is estimated.
    found
        Per image the estimate; None where too few cells were found.
    """

    learned: float
    given: float | None = None
    found: dict[str, float | None] = field(default_factory=dict)

    def notes(self, scaled: Mapping[str, Scale]) -> list[str]:
        """Return lines on what was scaled, and what could not be."""
        of_weights = f"the weights learned from cells {self.learned:.3g} pixels across in the median"
        if self.given is not None:
            what = f"{count(len(scaled), 'image')} seen so that cells of {self.given:g} pixels are as large:"
            return [f"{of_weights}; {what}", *_listed(scaled)]
        few = [printable(name) for name, diameter in self.found.items() if diameter is None]
        sizes = {name: _in_words(scale) for name, scale in scaled.items()}
        told = [
            f"{printable(name)}: {diameter:.3g} pixels across, {sizes.get(name, 'seen as it is')}"
            for name, diameter in self.found.items()
            if diameter is not None
        ]
        lines = [f"{of_weights}; the cells of {count(len(told), 'image')} were estimated:", *capped(told, "image")]
        if few:
            lines += [
                f"note: of {count(len(few), 'image')} the size of the cells is not known, as fewer than {LEAST_CELLS} "
                "were found; --diameter PIXELS tells it:",
                *capped(few, "image"),
            ]
        return lines if told else lines[1:]


def _listed(scaled: Mapping[str, Scale]) -> list[str]:
    return capped((f"{printable(name)}: {_in_words(scale)}" for name, scale in scaled.items()), "image")


def _in_words(scale: Scale) -> str:
    y, x = scale.factors
    seen, own = (" x ".join(map(str, size)) for size in (scale.seen, scale.shape))
    factors = f"{x:.3g}" if abs(y - x) <= 0.01 * x else f"{y:.3g} x {x:.3g}"
    return f"{own} pixels seen as {seen} (times {factors})"
