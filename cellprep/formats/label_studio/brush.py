"""Label Studio's run lengths of brushes: a bit stream of the four channels of an RGBA image.

The format is that of https://github.com/thi-ng/umbrella/tree/develop/packages/rle-pack, as implemented in Label
Studio's converter (https://github.com/HumanSignal/label-studio-converter, brush.py): 32 bits for the number of values;
5 bits for the bits per value, minus 1; four times 4 bits for the bits per length, minus 1. Records follow until all
values are complete: a bit for repetition, 2 bits that select one of the four length sizes, a length minus 1, and one
value if it is repeated, otherwise as many values as the length.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import RLEError

_CHANNELS = 4  # red, green, blue, alpha; alpha is nonzero on painted pixels


def decode_brush(rle: Sequence[int], shape: tuple[int, int]) -> NDArray[np.bool_]:
    """Return the pixels painted by a brush.

    Parameters
    ----------
    rle
        Bytes, as numbers from 0 to 255.
    shape
        (H, W) of the image, in pixels.

    Returns
    -------
    ndarray
        (H, W) bool.

    Raises
    ------
    RLEError
        If the stream is invalid or has another size. Its `place` is 0.

    Examples
    --------
    >>> decode_brush([0, 0, 0, 8, 57, 27, 252, 96, 17, 255, 128], (1, 2))
    array([[False,  True]])
    """
    if not all(type(byte) is int and 0 <= byte < 256 for byte in rle):
        raise RLEError(0, "its rle is not a list of bytes, whole numbers from 0 to 255")
    stream = _Bits(bytes(rle))
    number, wanted = stream.read(32), shape[0] * shape[1] * _CHANNELS
    if number != wanted:
        raise RLEError(
            0,
            f"its rle has {number:,} values, but its image of {shape[0]} x {shape[1]} (height x width) has {wanted:,}, "
            "four for each pixel",
        )
    bits = stream.read(5) + 1
    lengths = [stream.read(4) + 1 for _ in range(4)]
    values = np.zeros(number, bool)
    place = 0
    while place < number:
        is_repeated = stream.read(1)
        length = stream.read(lengths[stream.read(2)]) + 1
        if place + length > number:
            raise RLEError(0, f"its rle continues after its {number:,} values")
        if is_repeated:
            values[place : place + length] = stream.read(bits) != 0
        else:
            values[place : place + length] = stream.read_many(bits, length)
        place += length
    painted: NDArray[np.bool_] = values.reshape(*shape, _CHANNELS)[..., -1]
    return painted


class _Bits:
    """A stream of bits, most significant bit first."""

    def __init__(self, content: bytes) -> None:
        self._bits = np.unpackbits(np.frombuffer(content, np.uint8))
        # The characters "0" and "1", for `int`.
        self._text = self._bits.tobytes().translate(bytes([48, 49, *range(2, 256)]))
        self._place = 0

    def read(self, size: int) -> int:
        """Return a number of the given number of bits."""
        return int(self._take(size), 2)

    def read_many(self, size: int, number: int) -> Any:
        """Return which of several numbers, of the given number of bits each, are not 0."""
        begin = self._place
        self._take(size * number)
        return np.any(self._bits[begin : self._place].reshape(number, size), axis=1)

    def _take(self, size: int) -> bytes:
        found = self._text[self._place : self._place + size]
        if len(found) < size:
            raise RLEError(0, "its rle ends before its values are complete")
        self._place += size
        return found
