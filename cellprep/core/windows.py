"""Windows of images and other arrays: a bounded slice for each axis."""

from collections.abc import Iterator
from itertools import product

Window = tuple[slice, ...]

_SIDE = 2048  # pixels


def windows(shape: tuple[int, int], side: int | None = None) -> Iterator[tuple[slice, slice]]:
    """Yield windows of limited size that cover an image without overlap.

    Parameters
    ----------
    shape
        (H, W) of the image.
    side
        Height and width of a window in pixels, although the last ones may be smaller; 2048 by default.

    Examples
    --------
    >>> list(windows((9, 3000)))
    [(slice(0, 9, None), slice(0, 2048, None)), (slice(0, 9, None), slice(2048, 3000, None))]
    """
    step = side or _SIDE
    rows, columns = ([slice(k, min(k + step, size)) for k in range(0, size, step)] for size in shape)
    yield from product(rows, columns)


def overlap(first: Window, second: Window) -> Window | None:
    """Return the intersection of two windows; None if it is empty."""
    shared = tuple(slice(max(a.start, b.start), min(a.stop, b.stop)) for a, b in zip(first, second, strict=True))
    return shared if all(part.start < part.stop for part in shared) else None


def within(part: Window, whole: Window) -> Window:
    """Return a part of a window in coordinates relative to the window.

    Examples
    --------
    >>> within((slice(5, 7),), (slice(4, 9),))
    (slice(1, 3, None),)
    """
    return tuple(slice(a.start - b.start, a.stop - b.start) for a, b in zip(part, whole, strict=True))
