"""Values of an image file, and their interpretation as picture, labels or mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.formats.images.orientation import turned
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.planes import StackOptions

_MOST_UNNAMED = 4  # largest number of unnamed channels; more are probably planes of a stack


@dataclass(frozen=True, slots=True)
class Tags:
    """Metadata of an image file.

    Attributes
    ----------
    orientation
        Its Orientation tag, 1 to 8; 1 is upright.
    reading
        Version of the decoding of such files; it increases when values change.
    parts
        Other files that contain parts of the image.
    may_have_others
        Whether the image may also continue in other files, which only the file's folder shows.
    has_grey_alpha
        Whether it is grey with alpha in a format for which earlier versions returned three channels.
    scenes
        Names of its scenes, if it may contain several; an empty string for one without a name.
    sides
        Sides of a pixel of each scene, or of the single image; empty if the file does not have them.
    """

    orientation: int = 1
    reading: int = 1
    parts: tuple[Path, ...] = ()
    may_have_others: bool = False
    has_grey_alpha: bool = False
    scenes: tuple[str, ...] = ()
    sides: tuple[Sides | None, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Raster:
    """Stored values of an image file, and the meaning given by its tags.

    Attributes
    ----------
    values
        (H, W), or (C, H, W), without alpha.
    is_rgb
        Whether its three channels are red, green and blue.
    alpha
        (H, W): opacity of each pixel, if the file has it.
    palette
        (n, 3) uint8: colours of the values, if they are indices.
    white_is_zero
        Whether the value 0 is white.
    bits
        Number of bits per value.
    is_stacked
        Whether its three channels were separate planes: such labels are more likely a stack.
    is_plain_array
        Whether the numbers were meant as they are, regardless of tags for white and black.
    orientation
        Its Orientation tag.
    to_choose
        The selections still to be applied, if a part was already selected on reading.
    """

    values: NDArray[Any]
    is_rgb: bool = False
    alpha: NDArray[Any] | None = None
    palette: NDArray[np.uint8] | None = None
    white_is_zero: bool = False
    bits: int = 0
    is_stacked: bool = False
    is_plain_array: bool = False
    orientation: int = 1
    to_choose: StackOptions | None = None


def check_dtype(dtype: np.dtype[Any] | None) -> None:
    """Raise ImageFileError unless images can have values of this type."""
    if dtype is None or dtype.kind not in "buif":
        found = "values of an unknown type" if dtype is None else f"{dtype} values"
        raise ImageFileError(f"it has {found}: images have integers or floats")


class UnnamedAxesError(ImageFileError):
    """An array with unnamed axes has too many of them.

    Attributes
    ----------
    sizes
        Lengths of the axes, as text.
    """

    def __init__(self, problem: str, sizes: str = "") -> None:
        super().__init__(problem)
        self.sizes = sizes


def place_channels(values: NDArray[Any]) -> NDArray[Any]:
    """Convert an array with unnamed axes to (H, W) or (C, H, W), if only one interpretation is plausible.

    Raises
    ------
    ImageFileError
        If it is or may be a stack.

    Examples
    --------
    >>> import numpy as np
    >>> [place_channels(np.zeros(shape)).shape for shape in [(1, 9, 8), (9, 8, 3), (2, 9, 8)]]
    [(9, 8), (3, 9, 8), (2, 9, 8)]
    """
    shape = values.shape
    if values.ndim > 2 and 1 in shape:
        others = [place for place, size in enumerate(shape) if size == 1][: values.ndim - 2]
        return place_channels(values.squeeze(tuple(others)))
    if values.ndim == 2:
        return values
    few = [place for place, size in enumerate(shape) if size <= _MOST_UNNAMED]
    if values.ndim == 3 and few in ([0], [2]):
        return np.moveaxis(values, few[0], 0)
    sizes = " x ".join(map(str, shape))
    raise UnnamedAxesError(
        f"it is a stack, or has unnamed axes ({sizes}): an image is height x width, with up to "
        f"{_MOST_UNNAMED} channels before or after; files with more need named axes (OME-TIFF or ImageJ, axes CYX)",
        sizes,
    )


def as_picture(raster: Raster, *, upright: bool = True, keep_channels: bool = False) -> NDArray[Any]:
    """Return an image for display.

    Parameters
    ----------
    raster
        The file's values.
    upright
        Whether to apply its Orientation tag.
    keep_channels
        Whether grey stored as three equal colours keeps three channels instead of one.

    Returns
    -------
    ndarray
        (H, W), or (C, H, W) for several channels.

    Raises
    ------
    ImageFileError
        If its tags contradict its values.
    """
    image, is_rgb = raster.values, raster.is_rgb
    if raster.palette is not None:
        image, is_rgb = _colours_of(raster.values, raster.palette), True
    elif raster.white_is_zero:
        image = _inverted(raster)
    if image.dtype == bool:
        image = image.astype(np.uint8) * np.uint8(255)
    if is_rgb and not keep_channels:
        image = _without_copies(image)
    return turned(image, raster.orientation) if upright else image


def as_labels(raster: Raster, *, upright: bool) -> NDArray[Any]:
    """Return the numbers of a label image: palette indices, or a number for each colour.

    Returns
    -------
    ndarray
        (H, W), of any dtype; another shape if it cannot be a label image.

    Raises
    ------
    ImageFileError
        If its tags are ambiguous for labels.
    """
    image = _meant(raster)
    if raster.is_rgb and image.ndim == 3 and len(image) == 3:  # an extra sample may be anything
        image = _without_copies(image)
        if image.ndim == 3:
            image = _number_of_colour(image)
    if raster.alpha is not None:
        image = _without_transparent(image, raster.alpha)
    return turned(image, raster.orientation) if upright else image


def as_mask(raster: Raster, *, upright: bool) -> NDArray[np.bool_]:
    """Return where a mask file is not black: (H, W).

    Raises
    ------
    ImageFileError
        If its tags are ambiguous about black, or it has several nonzero values.
    """
    image = _meant(raster) if raster.palette is None else _colours_of(raster.values, raster.palette)
    _check_one_number(image.reshape(-1, *image.shape[-2:]))
    mask = (image if image.ndim == 2 else image.any(axis=0)) != 0
    return turned(mask, raster.orientation) if upright else mask


def _check_one_number(channels: NDArray[Any]) -> None:
    """Refuse a mask, (C, H, W), with several values: it is a label image, or has grey edges or noise."""
    inside = channels.any(axis=0)
    for channel in channels:
        if inside.any() and channel[inside].min() != channel[inside].max():
            numbers = np.unique(channel[inside])
            few = ", ".join(map(str, numbers[:3].tolist())) + (", ..." if len(numbers) > 3 else "")
            raise ImageFileError(
                f"it has {len(numbers)} nonzero values ({few}): a mask of one cell has one. A label image "
                "must have its image's name, masks/<id>.* for images/<id>.*; apply a threshold to noise and soft edges"
            )


def _colours_of(numbers: NDArray[Any], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if numbers.size and numbers.max() >= len(palette):
        raise ImageFileError(
            f"it is damaged: it has the value {numbers.max()}, but its palette has {len(palette)} colours"
        )
    return np.stack([palette[:, channel][numbers] for channel in range(3)])


def _without_copies(channels: NDArray[Any]) -> NDArray[Any]:
    """Convert grey stored as three equal colours to one channel."""
    if len(channels) == 3 and channels.ndim == 3 and all(np.array_equal(channels[0], other) for other in channels[1:]):
        grey: NDArray[Any] = channels[0]
        return grey
    return channels


def _inverted(raster: Raster) -> NDArray[Any]:
    """Return values with 0 as black."""
    values = raster.values
    if values.dtype.kind == "f":
        raise ImageFileError("its values are floats with 0 as white (WhiteIsZero): save it with 0 as black")
    if values.dtype == bool or values.dtype.kind == "i" or raster.bits in (0, 8 * values.dtype.itemsize):
        inverted: NDArray[Any] = ~values
    else:
        inverted = values ^ values.dtype.type(2**raster.bits - 1)
    return inverted


def _meant(raster: Raster) -> NDArray[Any]:
    """Return the numbers of labels. If 0 is white, the tag may apply to colours only."""
    values = raster.values
    if not raster.white_is_zero or raster.is_plain_array:
        return values
    inverted = _inverted(raster)
    background, other = not values.all(), not inverted.all()
    if background == other:
        raise ImageFileError(
            "its tags define 0 as white (WhiteIsZero), so that either 0 or the largest number may be the "
            "background: save it with 0 as black (BlackIsZero)"
        )
    return values if background else inverted


def _number_of_colour(colours: NDArray[Any]) -> NDArray[np.int64]:
    """Return a number for each colour, written as 0xRRGGBB; black is background."""
    if colours.dtype.kind != "u" or colours.dtype.itemsize > 2:
        raise ImageFileError(f"its colours are {colours.dtype} values: colours of cells must have 8 or 16 bits")
    bits = 8 * colours.dtype.itemsize
    red, green, blue = colours.astype(np.int64)
    numbers: NDArray[np.int64] = (red << 2 * bits) | (green << bits) | blue
    if numbers.size and numbers.all():
        raise ImageFileError(
            "its colours represent cells, but no pixel is black, so that the background is unknown; make it black"
        )
    return numbers


def _without_transparent(labels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Treat transparent pixels as background."""
    most = alpha.max(initial=0)
    clear = alpha == 0
    if not clear.any() or not most:  # an alpha channel of only zeros is meaningless
        return labels
    if not (clear | (alpha == most)).all():
        raise ImageFileError(
            "some of its pixels are semi-transparent, which is invalid in a label image: save it without alpha"
        )
    return np.where(clear, labels.dtype.type(0), labels)
