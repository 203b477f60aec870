"""Run-length encoding of masks: Kaggle's text, ``start length start length ...`` with starts from 1.

``order`` is the order in which an image's pixels are counted: ``"row"`` along the rows (Sartorius) or
``"column"`` down the columns (2018 Data Science Bowl). All annotations of an image are parsed at once; the
slow, obvious parser runs only to name a fault.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.errors import RLEError, UsageError

__all__ = [
    "Order",
    "Runs",
    "decode_rle",
    "encode_labels",
    "encode_rle",
    "format_rle",
    "parse_rle",
    "touching_runs",
]

Order = Literal["row", "column"]

_WHITESPACE = " \t\r\n"
_ALLOWED = {ord(c): None for c in "0123456789" + _WHITESPACE}
_LONGEST_NUMBER = 18  # digits that always fit into int64


@dataclass(frozen=True, slots=True)
class Runs:
    """The masks of an image's annotations as runs of pixels.

    Runs of one annotation are sorted and disjoint; those of different annotations may overlap.

    Attributes
    ----------
    starts
        (r,) int64: first pixel of each run, counted from 0 in `order`.
    lengths
        (r,) int64: pixels in each run, at least 1.
    offsets
        (n + 1,) int64: annotation ``k`` owns the runs ``offsets[k]:offsets[k + 1]``.
    shape
        (H, W) of the image, in pixels.
    order
        The order in which pixels are counted.
    """

    starts: NDArray[np.int64]
    lengths: NDArray[np.int64]
    offsets: NDArray[np.int64]
    shape: tuple[int, int]
    order: Order

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def owners(self) -> NDArray[np.int64]:
        """(r,) int64: the annotation that each run belongs to."""
        return np.repeat(np.arange(len(self)), np.diff(self.offsets))

    @property
    def areas(self) -> NDArray[np.int64]:
        """(n,) int64: pixels of each annotation, before overlaps."""
        total = np.concatenate(([0], np.cumsum(self.lengths)))
        return np.diff(total[self.offsets])

    def positions(self) -> NDArray[np.int64]:
        """Return every pixel of every run, counted from 0 in `order`, run after run: (sum of areas,) int64."""
        before = np.cumsum(self.lengths) - self.lengths
        return np.repeat(self.starts - before, self.lengths) + np.arange(self.lengths.sum())

    def paint(self, values: NDArray[Any]) -> NDArray[Any]:
        """Paint each annotation with its value; where they overlap, the highest value stays.

        Parameters
        ----------
        values
            (n,) of any dtype, each at least 0.

        Returns
        -------
        ndarray
            (H, W) of the dtype of `values`; 0 where no annotation is.
        """
        canvas = np.zeros(self.shape[0] * self.shape[1], values.dtype)
        np.maximum.at(canvas, self.positions(), np.repeat(values[self.owners], self.lengths))
        return self._to_image(canvas)

    def coverage(self) -> NDArray[np.int64]:
        """Return the number of annotations that claim each pixel: (H, W) int64."""
        return self._to_image(np.bincount(self.positions(), minlength=self.shape[0] * self.shape[1]))

    def to_masks(self) -> NDArray[np.bool_]:
        """Return the annotations one by one: (n, H, W) bool."""
        height, width = self.shape
        masks = np.zeros((len(self), height * width), bool)
        masks[np.repeat(self.owners, self.lengths), self.positions()] = True
        if self.order == "row":
            return masks.reshape(-1, height, width)
        return np.ascontiguousarray(masks.reshape(-1, width, height).transpose(0, 2, 1))

    def _to_image(self, flat: NDArray[Any]) -> NDArray[Any]:
        height, width = self.shape
        if self.order == "row":
            return flat.reshape(height, width)
        return np.ascontiguousarray(flat.reshape(width, height).T)


def parse_rle(texts: Sequence[str], shape: tuple[int, int], order: Order = "row") -> Runs:
    """Parse the Kaggle run-length texts of an image's annotations.

    Runs may come in any order as long as those of one annotation are disjoint. An empty text is an empty mask.

    Parameters
    ----------
    texts
        One text per annotation.
    shape
        (H, W) of the image, in pixels.
    order
        The order in which the texts count pixels.

    Raises
    ------
    RLEError
        Naming the first faulty annotation and value: a number that is not whole, an odd count of numbers, a
        start or length below 1, a run past the end of the image, runs that overlap each other.
    UsageError
        If `order` is neither ``"row"`` nor ``"column"``.

    Examples
    --------
    >>> runs = parse_rle(["1 2 5 1", "4 1"], (2, 3))
    >>> runs.starts, runs.lengths, runs.offsets
    (array([0, 4, 3]), array([2, 1, 1]), array([0, 2, 3]))
    """
    _check_order(order)
    size = shape[0] * shape[1]
    numbers = _split_numbers(texts)
    if numbers is not None:
        values, counts = numbers
        if not (counts % 2).any():
            starts, lengths = values[0::2] - 1, values[1::2]
            offsets = np.concatenate(([0], np.cumsum(counts // 2)))
            runs = _sorted_runs(Runs(starts, lengths, offsets, shape, order))
            if _is_valid(runs, size):
                return runs
    raise _first_fault(texts, shape)


def format_rle(runs: Runs) -> list[str]:
    """Write runs as Kaggle texts, one per annotation, in the runs' own order.

    Examples
    --------
    >>> format_rle(parse_rle(["5 1 1 2", ""], (2, 3)))
    ['1 2 5 1', '']
    """
    words = list(map(str, np.stack([runs.starts + 1, runs.lengths], axis=1).ravel().tolist()))
    ends = (2 * runs.offsets).tolist()
    return [" ".join(words[a:b]) for a, b in pairwise(ends)]


def decode_rle(texts: Sequence[str], shape: tuple[int, int], order: Order = "row") -> NDArray[np.bool_]:
    """Decode Kaggle run-length texts to masks.

    Parameters
    ----------
    texts
        One text per annotation.
    shape
        (H, W) of the image, in pixels.
    order
        The order in which the texts count pixels.

    Returns
    -------
    ndarray
        (n, H, W) bool, axes (annotation, y, x).

    Raises
    ------
    RLEError
        As `parse_rle`.

    Examples
    --------
    >>> decode_rle(["1 2 5 1"], (2, 3)).astype(int)
    array([[[1, 1, 0],
            [0, 1, 0]]])
    >>> decode_rle(["1 2 5 1"], (2, 3), order="column").astype(int)
    array([[[1, 0, 1],
            [1, 0, 0]]])
    """
    return parse_rle(texts, shape, order).to_masks()


def encode_rle(masks: ArrayLike, order: Order = "row") -> list[str]:
    """Encode masks as Kaggle run-length texts: sorted runs, as long as can be.

    Parameters
    ----------
    masks
        (n, H, W), True or non-zero inside; they may overlap.
    order
        The order in which the texts are to count pixels.

    Returns
    -------
    list of str
        n texts; an empty mask gives an empty text.

    Examples
    --------
    >>> encode_rle([[[1, 1, 0], [0, 1, 0]]])
    ['1 2 5 1']
    """
    _check_order(order)
    stack = np.asarray(masks) != 0
    if stack.ndim != 3:
        raise UsageError(f"masks must have three axes (n, H, W), not the shape {stack.shape}")
    count, height, width = stack.shape
    flat = (stack if order == "row" else stack.transpose(0, 2, 1)).reshape(count, height * width)
    edges = np.diff(flat.astype(np.int8), axis=1, prepend=0, append=0)
    owner, starts = np.nonzero(edges == 1)
    ends = np.nonzero(edges == -1)[1]
    offsets = np.searchsorted(owner, np.arange(count + 1))
    return format_rle(Runs(starts, ends - starts, offsets, (height, width), order))


def encode_labels(labels: ArrayLike, order: Order = "row") -> list[str]:
    """Encode each cell of a label image as a Kaggle run-length text.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background.
    order
        The order in which the texts are to count pixels.

    Returns
    -------
    list of str
        The texts of the labels 1, 2, ..., max; empty for a label without pixels.

    Examples
    --------
    >>> encode_labels([[1, 1, 3], [0, 1, 3]])
    ['1 2 5 1', '', '3 1 6 1']
    """
    _check_order(order)
    image = np.asarray(labels)
    flat = (image if order == "row" else image.T).ravel()
    edges = np.flatnonzero(np.concatenate(([True], flat[1:] != flat[:-1])))[: flat.size]
    lengths = np.diff(edges, append=flat.size)
    owner = flat[edges].astype(np.int64)
    cells = np.flatnonzero(owner)
    cells = cells[np.argsort(owner[cells], kind="stable")]
    offsets = np.searchsorted(owner[cells], np.arange(1, owner.max(initial=0) + 2))
    shape = (image.shape[0], image.shape[1])
    return format_rle(Runs(edges[cells], lengths[cells], offsets, shape, order))


def touching_runs(runs: Runs, line_length: int) -> int:
    """Count the runs that touch the one before them, in the line above and of the same annotation.

    Parameters
    ----------
    runs
        The annotations.
    line_length
        Pixels in a line. With the true one most runs of a compact mask touch; with a wrong one hardly any do.

    Examples
    --------
    >>> runs = parse_rle(["1 2 5 2 9 2"], (3, 4))
    >>> touching_runs(runs, 4), touching_runs(runs, 3)
    (2, 0)
    """
    line, first = np.divmod(runs.starts, line_length)
    last = first + runs.lengths - 1
    touching = (
        (np.diff(runs.owners) == 0)
        & (np.diff(line) == 1)
        & (first[1:] <= last[:-1] + 1)
        & (last[1:] >= first[:-1] - 1)
    )
    return int(np.count_nonzero(touching))


def _check_order(order: str) -> None:
    if order not in get_args(Order):
        raise UsageError(f"RLE order {order!r} is unknown: it is 'row' or 'column'")


def _split_numbers(texts: Sequence[str]) -> tuple[NDArray[np.int64], NDArray[np.int64]] | None:
    """Return all numbers of all texts and the count of numbers in each text; None if any word is no number."""
    joined = " ".join(texts)
    if joined.translate(_ALLOWED):
        return None
    digit = np.zeros(len(joined) + 2, bool)
    digit[1:-1] = np.frombuffer(joined.encode("ascii"), np.uint8) >= ord("0")
    edges = np.flatnonzero(digit[1:] != digit[:-1])
    first, end = edges[0::2], edges[1::2]
    if len(first) and (end - first).max() > _LONGEST_NUMBER:
        return None
    bounds = np.concatenate(([0], np.cumsum([len(text) + 1 for text in texts], dtype=np.int64)))
    counts = np.diff(np.searchsorted(first, bounds))
    values = np.fromstring(joined, np.int64, sep=" ") if len(first) else np.zeros(0, np.int64)
    return values, counts


def _sorted_runs(runs: Runs) -> Runs:
    owners = runs.owners
    if ((np.diff(runs.starts) > 0) | (np.diff(owners) > 0)).all():
        return runs
    by_start = np.lexsort((runs.starts, owners))
    return Runs(runs.starts[by_start], runs.lengths[by_start], runs.offsets, runs.shape, runs.order)


def _is_valid(runs: Runs, size: int) -> bool:
    ends = runs.starts + runs.lengths
    inside = (runs.starts >= 0) & (runs.lengths >= 1) & (ends <= size)
    disjoint = (runs.starts[1:] >= ends[:-1]) | (np.diff(runs.owners) > 0)
    return bool(inside.all() and disjoint.all())


def _first_fault(texts: Sequence[str], shape: tuple[int, int]) -> RLEError:
    for place, text in enumerate(texts):
        problem = _fault(text, shape)
        if problem:
            return RLEError(place, problem)
    raise AssertionError("the vectorised parser refused texts in which the plain one finds no fault")


def _fault(text: str, shape: tuple[int, int]) -> str | None:
    """Say what is wrong with one text, the first fault first; the obvious parser, one word at a time."""
    size = shape[0] * shape[1]
    words = re.findall(rf"[^{_WHITESPACE}]+", text)
    for word in words:
        if not re.fullmatch(r"-?[0-9]+", word):
            return f"{_shorten(word)} is not a whole number"
        if len(word) > _LONGEST_NUMBER:
            return f"{_shorten(word)} has more than {_LONGEST_NUMBER} digits"
    if len(words) % 2:
        return f"it has an odd number of numbers ({len(words)}): a run is a start and a length"
    runs = []
    for start_word, length_word in zip(words[0::2], words[1::2], strict=True):
        start, length = int(start_word), int(length_word)
        if start < 1:
            return f"start {start} of the run '{start} {length}' is below 1: pixels count from 1"
        if length < 1:
            return f"length {length} of the run '{start} {length}' is below 1"
        if start + length - 1 > size:
            return f"run '{start} {length}' goes past the last pixel, {size} ({shape[0]} x {shape[1]})"
        runs.append((start, length))
    runs.sort()
    for (start, length), (next_start, next_length) in pairwise(runs):
        if start + length > next_start:
            return f"runs '{start} {length}' and '{next_start} {next_length}' overlap"
    return None


def _shorten(word: str) -> str:
    return repr(word if len(word) <= 40 else word[:37] + "...")
