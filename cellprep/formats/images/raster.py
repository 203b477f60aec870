"""The values of an image file, and what they mean: as a picture, as labels, as a mask."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.formats.images.orientation import turned
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.planes import StackOptions

_MOST_UNNAMED = 4  # as many channels may be without a name; more are rather planes of a stack


@dataclass(frozen=True, slots=True)
class Tags:
    """The tags of a file about its image.

    Attributes
    ----------
    orientation
        Its Orientation tag, 1 to 8; 1 is upright.
    reading
        Number of the way in which files of its kind are read; it rises when such a file gives other values than before.
    parts
        The other files that the image is in.
    may_have_others
        Whether the image may be in other files, too, which only the file's folder tells.
    has_grey_alpha
        Whether it is grey with alpha in a format whose reader once gave three channels of these.
    scenes
        The names of its scenes, if it may hold several images; empty text for one without a name.
    sides
        The sides of a pixel, of each scene, or of the one image; nothing if the file does not tell any.
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
    """The values of an image file as they are stored, and what its tags say of them.

    Attributes
    ----------
    values
        (H, W), or (C, H, W), without alpha.
    is_rgb
        Whether three channels are red, green and blue.
    alpha
        (H, W): how opaque each pixel is, if the file tells.
    palette
        (n, 3) uint8: the colours that the values stand for, if they do.
    white_is_zero
        Whether the value 0 is white.
    bits
        Number of bits of a value.
    is_stacked
        Whether three channels came as three planes, one after the other: such labels are more likely those of a stack.
    is_plain_array
        Whether who wrote it meant the numbers as they are, whatever the tags say of white and black.
    orientation
        Its Orientation tag.
    to_choose
        What is still to be chosen of it, where a part was as it was read.
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
    """Raise ImageFileError unless these are values that an image can have."""
    if dtype is None or dtype.kind not in "buif":
        found = "values of an unknown type" if dtype is None else f"{dtype} values"
        raise ImageFileError(f"it holds {found}: images hold integers or floats")


class UnnamedAxesError(ImageFileError):
    """An array without names for its axes has too many of them.

    Attributes
    ----------
    sizes
        Their lengths, in words.
    """

    def __init__(self, problem: str, sizes: str = "") -> None:
        super().__init__(problem)
        self.sizes = sizes


def place_channels(values: NDArray[Any]) -> NDArray[Any]:
    """Bring an array without names for its axes to (H, W) or (C, H, W), where only one reading is likely.

    Raises
    ------
    ImageFileError
        If it is a stack, or may be one.

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
        f"it is a stack, or has axes without names ({sizes}): an image is height x width, with up to "
        f"{_MOST_UNNAMED} channels before or after; name the axes of more (OME-TIFF or ImageJ, axes CYX)",
        sizes,
    )


def as_picture(raster: Raster, *, upright: bool = True, keep_channels: bool = False) -> NDArray[Any]:
    """Return an image as viewers show it.

    Parameters
    ----------
    raster
        The file's values.
    upright
        Whether it is turned as its Orientation tag says.
    keep_channels
        Whether grey that is stored as three equal colours stays so, instead of becoming one channel.

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
    """Return the numbers of a label image: a palette's numbers, or a number for each colour.

    Returns
    -------
    ndarray
        (H, W), of any dtype; another shape if it can be no label image.

    Raises
    ------
    ImageFileError
        If its tags leave open which number is meant.
    """
    image = _meant(raster)
    if raster.is_rgb and image.ndim == 3 and len(image) == 3:  # a sample more may be anything
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
        If its tags leave open what is black, or it has several numbers beside 0.
    """
    image = _meant(raster) if raster.palette is None else _colours_of(raster.values, raster.palette)
    _check_one_number(image.reshape(-1, *image.shape[-2:]))
    mask = (image if image.ndim == 2 else image.any(axis=0)) != 0
    return turned(mask, raster.orientation) if upright else mask


def _check_one_number(channels: NDArray[Any]) -> None:
    """Refuse a mask, (C, H, W), that has several numbers: it is a label image, or its edges or noise are grey."""
    inside = channels.any(axis=0)
    for channel in channels:
        if inside.any() and channel[inside].min() != channel[inside].max():
            numbers = np.unique(channel[inside])
            few = ", ".join(map(str, numbers[:3].tolist())) + (", ..." if len(numbers) > 3 else "")
            raise ImageFileError(
                f"it holds {len(numbers)} numbers beside 0 ({few}): a mask of one cell holds one. A label image "
                "has its image's name, masks/<id>.* beside images/<id>.*; noise and soft edges need a threshold first"
            )


def _colours_of(numbers: NDArray[Any], palette: NDArray[np.uint8]) -> NDArray[np.uint8]:
    if numbers.size and numbers.max() >= len(palette):
        raise ImageFileError(
            f"it is damaged: it holds the value {numbers.max()}, and its palette {len(palette)} colours"
        )
    return np.stack([palette[:, channel][numbers] for channel in range(3)])


def _without_copies(channels: NDArray[Any]) -> NDArray[Any]:
    """Turn grey that is stored as three equal colours into one channel."""
    if len(channels) == 3 and channels.ndim == 3 and all(np.array_equal(channels[0], other) for other in channels[1:]):
        grey: NDArray[Any] = channels[0]
        return grey
    return channels


def _inverted(raster: Raster) -> NDArray[Any]:
    """Return values that count black as 0."""
    values = raster.values
    if values.dtype.kind == "f":
        raise ImageFileError("its values are floats, and 0 is to be white (WhiteIsZero): save it with black as 0")
    if values.dtype == bool or values.dtype.kind == "i" or raster.bits in (0, 8 * values.dtype.itemsize):
        inverted: NDArray[Any] = ~values
    else:
        inverted = values ^ values.dtype.type(2**raster.bits - 1)
    return inverted


def _meant(raster: Raster) -> NDArray[Any]:
    """Return the numbers of labels: where 0 is to be white, the tag may speak of colours only."""
    values = raster.values
    if not raster.white_is_zero or raster.is_plain_array:
        return values
    inverted = _inverted(raster)
    background, other = not values.all(), not inverted.all()
    if background == other:
        raise ImageFileError(
            "its tags say that 0 is white (WhiteIsZero), which leaves open whether 0 or the largest number is the "
            "background: save it with black as 0 (BlackIsZero)"
        )
    return values if background else inverted


def _number_of_colour(colours: NDArray[Any]) -> NDArray[np.int64]:
    """Return a number for each colour, as it is written: 0xRRGGBB; black is background."""
    if colours.dtype.kind != "u" or colours.dtype.itemsize > 2:
        raise ImageFileError(f"its colours are {colours.dtype} values: colours that stand for cells have 8 or 16 bits")
    bits = 8 * colours.dtype.itemsize
    red, green, blue = colours.astype(np.int64)
    numbers: NDArray[np.int64] = (red << 2 * bits) | (green << bits) | blue
    if numbers.size and numbers.all():
        raise ImageFileError(
            "its colours stand for cells, but no pixel is black: which colour is the background, nothing tells; "
            "make it black"
        )
    return numbers


def _without_transparent(labels: NDArray[Any], alpha: NDArray[Any]) -> NDArray[Any]:
    """Take what is transparent as background."""
    most = alpha.max(initial=0)
    clear = alpha == 0
    if not clear.any() or not most:  # an alpha channel that is all 0 says nothing
        return labels
    if not (clear | (alpha == most)).all():
        raise ImageFileError(
            "some of its pixels are half transparent: a label image has none such; save it without alpha"
        )
    return np.where(clear, labels.dtype.type(0), labels)
