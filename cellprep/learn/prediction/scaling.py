"""Images at the scale of the training images, and results at their own scale."""

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

#: Least number of cells for estimating their size in an image.
LEAST_CELLS = 10

_TYPES = (np.uint8, np.uint16, np.int16, np.float32, np.float64)  # supported by OpenCV's resize


@dataclass(frozen=True, slots=True)
class Scale:
    """The scale at which networks see an image.

    Attributes
    ----------
    shape
        (H, W) of the image.
    seen
        (H, W) at which the networks see it.
    shrink
        N if each pixel that they see is the mean of N x N, as in a store at 1/N of the size; 1 if it is resampled.
    """

    shape: tuple[int, int]
    seen: tuple[int, int]
    shrink: int = 1

    @classmethod
    def of(cls, shape: tuple[int, int], sides: Sides | None, learned: float | None, shrink: int = 1) -> "Scale | None":
        """Return the scale of an image; None if it is not scaled.

        Parameters
        ----------
        shape
            (H, W) of the image.
        sides
            (y, x): the sides of its pixels, in micrometres or any other unit; None if they are unknown.
        learned
            The side of the training images' pixels, in the same unit; None if it is unknown.
        shrink
            N if these were means of N x N pixels: an image that is shrunk by about N is then shrunk by exactly N.

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
        """(y, x): the number of pixels that the networks see per pixel of the image."""
        if self.shrink > 1:
            return 1 / self.shrink, 1 / self.shrink
        (y, x), (seen_y, seen_x) = self.shape, self.seen
        return seen_y / y, seen_x / x

    def image(self, image: Any) -> NDArray[Any]:
        """Return an image (C, H, W) as the networks see it: averaged when shrunk, otherwise interpolated.

        Raises
        ------
        TooLargeError
            If it does not fit into memory.
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
        """Return the classes of the image's pixels, (H, W), for the pixels that the networks see.

        Raises
        ------
        UsageError
            If their size is not that of the image.
        """
        if classes.shape != self.shape:
            sizes = [f"{height} x {width}" for height, width in (classes.shape, self.shape)]
            raise UsageError(f"the mask is {sizes[0]}, but the image {sizes[1]} (height x width)")
        if self.shrink > 1:
            return shrink_pixels(classes, self.shrink)
        return classes[np.ix_(*map(_nearest, self.seen, self.shape))]

    def labels(self, labels: NDArray[Any]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Return predicted instances at the scale of the image.

        When enlarging, outlines are interpolated: each pixel belongs to the instance that covers most of it.

        Parameters
        ----------
        labels
            (H, W) as the networks see it: 0 = background, instances 1 to n.

        Returns
        -------
        labels
            (H, W) of the image, numbered in raster order.
        kept
            (m,) the former number of each; instances without a pixel are omitted.
        """
        height, width = self.shape
        if self.shrink > 1:  # the last blocks may extend beyond the image
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
    """Return for each wanted pixel the index of the pixel of a row that contains its centre."""
    return np.minimum(((np.arange(wanted) + 0.5) * there / wanted).astype(np.int64), there - 1)


def _enlarged(labels: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return labels at a larger scale: the share of each in a pixel is interpolated between centres of pixels."""
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
    """Return the wanted pixels of a row that an object in the given part may cover, and their positions in it.

    Positions are counted from the pixel before the object; those beyond the image's edge are moved to the edge.
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
    """A report on the images' scales.

    Attributes
    ----------
    learned
        The side of the training images' pixels, in micrometres; None if it is unknown.
    shrink
        N if the training images were stored at 1/N of their size.
    of_cells
        The report on scales determined by cells; None if pixel sizes determine them.
    scaled
        The scale of each image that was scaled.
    known, unknown
        Numbers of images with and without a known pixel size.
    """

    learned: float | None = None
    shrink: int = 1
    of_cells: "CellScales | None" = None
    scaled: dict[str, Scale] = field(default_factory=dict)
    known: int = 0
    unknown: int = 0

    def add(self, image_id: str, scale: Scale | None, *, is_known: bool, cells: float | None = None) -> None:
        """Count an image; `cells` is the median diameter of the cells found at first, if there were enough."""
        self.known += is_known
        self.unknown += not is_known
        if scale:
            self.scaled[image_id] = scale
        if self.of_cells:
            self.of_cells.found[image_id] = cells

    def notes(self) -> list[str]:
        """Return lines about images that were scaled or could not be; none if no size is known."""
        if self.of_cells:
            return self.of_cells.notes(self.scaled)
        lines = []
        if shrunk := sum(scale.shrink > 1 for scale in self.scaled.values()):
            size = f"1/{self.shrink} of full size, as the training images were"
            lines = [f"{count(shrunk, 'image')} seen at {size}; cells are returned at full size"]
        if self.learned is None:
            why = "the weights do not have the pixel size of their training images, so nothing is scaled"
            return lines or ([f"note: {why}"] if self.known else [])
        if others := {name: scale for name, scale in self.scaled.items() if scale.shrink == 1}:
            what = f"seen at the scale of the weights, {self.learned:g} µm a pixel; results are at the original scale"
            lines += [f"{count(len(others), 'image')} {what}:", *_listed(others)]
        if self.unknown:
            size = f"at 1/{self.shrink} of its size" if self.shrink > 1 else "as stored"
            lines.append(
                f"note: {count(self.unknown, 'image')} of unknown pixel size seen {size}; the weights were trained on "
                f"pixels of {self.learned:g} µm: give those of the images with --pixel-size"
            )
        return lines


@dataclass
class CellScales:
    """A report on scales determined by the diameters of cells.

    Attributes
    ----------
    learned
        The median diameter of the training cells, in pixels.
    given
        The given diameter of the images' cells; None if it is estimated.
    found
        The estimate for each image; None if too few cells were found.
    """

    learned: float
    given: float | None = None
    found: dict[str, float | None] = field(default_factory=dict)

    def notes(self, scaled: Mapping[str, Scale]) -> list[str]:
        """Return lines about images that were scaled or could not be."""
        of_weights = f"the weights were trained on cells with a median diameter of {self.learned:.3g} pixels"
        if self.given is not None:
            what = f"{count(len(scaled), 'image')} scaled so that cells of {self.given:g} pixels have this size:"
            return [f"{of_weights}; {what}", *_listed(scaled)]
        few = [printable(name) for name, diameter in self.found.items() if diameter is None]
        sizes = {name: _in_words(scale) for name, scale in scaled.items()}
        told = [
            f"{printable(name)}: {diameter:.3g} pixels, {sizes.get(name, 'not scaled')}"
            for name, diameter in self.found.items()
            if diameter is not None
        ]
        lines = [f"{of_weights}; estimated for {count(len(told), 'image')}:", *capped(told, "image")]
        if few:
            lines += [
                f"note: the size of the cells is unknown in {count(len(few), 'image')}, as fewer than {LEAST_CELLS} "
                "were found; give it with --diameter PIXELS:",
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
