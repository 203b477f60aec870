"""COCO masks: column-major run-length counts that alternate between outside and inside; and polygons."""

from collections.abc import Sequence
from contextlib import suppress

import numpy as np
from numpy.typing import NDArray

from cellprep.core.rle.runs import Runs
from cellprep.errors import RLEError

_FIRST, _LAST = ord("0"), ord("o")  # six bits in each character
_MORE, _SIGN = 0x20, 0x10
_LONGEST_NUMBER = 10  # characters: 50 bits
_FAR = 1_000_000  # pixels; no image is this large
_LONGEST_OUTLINE = 10_000_000  # pixels; pycocotools allocates memory for each
_MOST_PIXELS = 2**32 - 1  # limit of pycocotools


def parse_coco_counts(counts: Sequence[bytes | Sequence[int]], shape: tuple[int, int]) -> Runs:
    """Parse COCO's run-length counts.

    Parameters
    ----------
    counts
        Counts of each annotation, compressed (bytes) or not (whole numbers).
    shape
        (H, W) of the image, in pixels.

    Raises
    ------
    RLEError
        If counts are invalid or do not add up to the image's size; the error names the first such annotation.

    Examples
    --------
    >>> parse_coco_counts([[1, 2, 3], b"123"], (2, 3)).to_masks().astype(int)
    array([[[0, 1, 0],
            [1, 0, 0]],
    <BLANKLINE>
           [[0, 1, 0],
            [1, 0, 0]]])
    """
    size = shape[0] * shape[1]
    numbers, offsets = _all_numbers(counts)
    first, owners = offsets[:-1], np.repeat(np.arange(len(counts)), np.diff(offsets))
    wrong = (np.diff(offsets) == 0) & (size > 0)
    wrong[owners[(numbers < 0) | (numbers > size)]] = True
    done = np.concatenate(([0], np.cumsum(numbers)))
    wrong |= np.diff(done[offsets]) != size
    if wrong.any():
        problem = f"the counts do not add up to {size} pixels ({shape[0]} x {shape[1]})"
        raise RLEError(int(wrong.argmax()), problem)
    places = np.arange(len(numbers)) - first[owners]
    runs = np.flatnonzero((places % 2 == 1) & (numbers > 0))
    starts = done[runs] - done[first[owners[runs]]]
    return Runs(starts, numbers[runs], np.searchsorted(owners[runs], np.arange(len(counts) + 1)), shape, "column")


def _all_numbers(counts: Sequence[bytes | Sequence[int]]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the counts of all annotations, concatenated, and the offsets of each annotation: (r,) and (n + 1,)."""
    texts = [text for text in counts if isinstance(text, bytes)]
    if len(texts) == len(counts) and all(texts):
        with suppress(RLEError):  # raised again for the faulty text
            return _decompress(b"".join(texts), 0, np.cumsum([0, *map(len, texts)]))
    each = [
        _decompress(text, k, np.array([0, len(text)]))[0] if isinstance(text, bytes) else _checked(text, k)
        for k, text in enumerate(counts)
    ]
    return np.concatenate([np.zeros(0, np.int64), *each]), np.cumsum([0, *map(len, each)])


def polygon_counts(polygons: Sequence[Sequence[float]], shape: tuple[int, int]) -> bytes:
    """Rasterise the polygons of one annotation as pycocotools does, and return their compressed counts.

    Parameters
    ----------
    polygons
        Parts of the annotation, each ``x, y, x, y, ...`` in pixels, with at least three points.
    shape
        (H, W) of the image, in pixels.

    Raises
    ------
    RLEError
        If a part is not a polygon, or too large for pycocotools. Its `place` is 0.

    Examples
    --------
    >>> counts = polygon_counts([[0, 0, 2, 0, 2, 1, 0, 1]], (2, 3))
    >>> parse_coco_counts([counts], (2, 3)).to_masks().astype(int)
    array([[[1, 1, 0],
            [0, 0, 0]]])
    """
    from pycocotools import mask

    if not polygons:
        raise RLEError(0, "it has no polygon")
    if shape[0] * shape[1] > _MOST_PIXELS:
        raise RLEError(0, f"its image is {shape[0]} x {shape[1]}: polygons need one of at most {_MOST_PIXELS:,} pixels")
    for part in polygons:
        if len(part) < 6 or len(part) % 2:
            raise RLEError(0, f"a polygon has {len(part)} numbers: it needs x and y of at least three points")
    outlines = [np.array(part, np.float64) for part in polygons]
    for outline in outlines:
        farthest = np.abs(outline).max()
        if not (farthest <= _FAR and np.abs(outline - np.roll(outline, 2)).sum() <= _LONGEST_OUTLINE):
            raise RLEError(
                0, "a polygon has a point that is not finite or exceeds a million pixels, or too many points"
            )
    parts = mask.frPyObjects(outlines, *shape)
    counts: bytes = (parts[0] if len(parts) == 1 else mask.merge(parts))["counts"]
    return counts


def has_no_pixel(counts: bytes) -> bool:
    """Return whether compressed counts describe an empty mask: a single count, of pixels outside.

    Examples
    --------
    >>> has_no_pixel(b"6"), has_no_pixel(b"123")
    (True, False)
    """
    return len(counts) <= _LONGEST_NUMBER and len(_decompress(counts, 0, np.array([0, len(counts)]))[0]) == 1


def _decompress(text: bytes, place: int, offsets: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Decode COCO's compression: numbers in groups of six-bit characters, low bits first, minus the number two before.

    The text may be several texts, concatenated, that begin at `offsets`; the offsets of their numbers are returned.
    """
    codes = np.frombuffer(text, np.uint8).astype(np.int64)
    if len(codes) == 0 or codes.min() < _FIRST or codes.max() > _LAST:
        raise RLEError(place, "the counts are not valid compressed counts")
    codes -= _FIRST
    last = (codes & _MORE) == 0
    ends = np.flatnonzero(last)
    if not last[offsets[1:] - 1].all() or np.diff(ends, prepend=-1).max() > _LONGEST_NUMBER:
        raise RLEError(place, "the counts end in the middle of a number, or a number is too long")
    first = np.concatenate(([0], ends[:-1] + 1))
    digit = np.arange(len(codes)) - np.repeat(first, ends - first + 1)
    numbers = np.add.reduceat((codes & 0x1F) << (5 * digit), first)
    negative = (codes[ends] & _SIGN) != 0
    numbers[negative] -= np.int64(1) << (5 * (digit[ends][negative] + 1))
    begins = np.searchsorted(ends, offsets)  # offset of each text among the numbers
    place_in = np.arange(len(numbers)) - np.repeat(begins[:-1], np.diff(begins))
    for which in (place_in % 2 == 1, (place_in % 2 == 0) & (place_in > 0)):
        sums = np.concatenate(([0], np.cumsum(np.where(which, numbers, 0))))
        before = np.repeat(sums[begins[:-1]], np.diff(begins))
        numbers = np.where(which, sums[1:] - before, numbers)
    return numbers, begins


def _checked(numbers: Sequence[int], place: int) -> NDArray[np.int64]:
    if not all(type(number) is int and 0 <= number < 1 << 40 for number in numbers):
        raise RLEError(place, "the counts are not all whole numbers of pixels")
    return np.array(numbers, np.int64)
