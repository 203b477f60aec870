"""The targets of StarDist: distances to the cell's border along rays, and relative depth within the cell.

All rays of one direction are traced at once, with one bit per pixel. A bit stays 1 while the current position of its
ray belongs to the pixel's cell. Consecutive positions are neighbours or the same pixel, so that a step is an AND of
these bits and those of the pixels that are in the same cell as their neighbour, shifted by the path of the ray so far.
The length of a ray is the number of steps with its bit set.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells
from cellprep.core.targets.distance import boxes_with_rim
from cellprep.core.targets.family import Family
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Beyond, Done, Values
from cellprep.core.tuning import option

Bits = NDArray[np.uint8]
Floats = NDArray[np.float32]

# A step of the rays of all pixels, or of those in some rows and columns: the bytes moved so far, and the neighbour of
# the step, including the bits moved so far.
_Move = tuple[int, tuple[int, int, int], tuple[bytes, bytes] | None]

# Coefficients of x**3, x**5 and x**7, and of x**2, x**4, x**6 and x**8.
_SINE = (-0.16666654943701084, 0.008332178146138854, -0.00019517298981385725)
_COSINE = (-0.49999999725108224, 0.041666623324344516, -0.001388676379437604, 2.4390450703564542e-05)

_HALF, _ONE = np.float32(0.5), np.float32(1)
_CACHED = 1 << 20  # bytes, so that intermediate results stay in the processor's cache
# The square of a distance is an integer. Up to this side, in pixels, it can be recovered from OpenCV's distance, which
# has 21 correct bits.
_SQUARES_ARE_KNOWN = 512
_RAYS_AT_ONCE = 16  # adjacent in memory, but few enough to limit it
_CHECKED = 8  # number of steps between checks whether any ray continues


def star_distances(labels: NDArray[Any], rays: int = 32, origin: tuple[int, int] = (0, 0)) -> Floats:
    """Return each pixel's distance to the border of its cell along rays, as StarDist's compiled ``star_dist`` does.

    Ray k has the angle ``2 pi k / rays``, from along the row (x) towards the next rows (y). It moves in steps of length
    1, rounded to pixels, to the first pixel that is not in the cell or is outside the image. The length is then reduced
    by half a pixel along the longer axis.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background. All pixels of one number are one cell.
    rays
        Number of rays, at least 3.
    origin
        Row and column in the image of the first pixel of `labels`, if these are a part of it. StarDist rounds positions
        to float32, so that rays halfway between two pixels depend on their absolute position.

    Returns
    -------
    ndarray
        (H, W, rays) float32, in pixels; 0 on the background.

    Examples
    --------
    >>> star_distances(np.array([[0, 1, 1, 2]]), 4)[0, 1]
    array([1.5, 0.5, 0.5, 0.5], dtype=float32)
    """
    height, width = labels.shape
    cells = _Neighbours(labels)
    owned = np.flatnonzero(cells.inside)  # bytes, of 8 pixels each, that include pixels of cells
    found = np.zeros((height * width, rays), np.float32)
    if not len(owned):
        return found.reshape(height, width, rays)
    pixels = ((owned[:, None] - _Neighbours.BEFORE) * 8 + np.arange(8)).ravel()
    pixels = pixels[: np.searchsorted(pixels, height * width)]  # the last byte may have unused bits
    values = np.empty((_RAYS_AT_ONCE, 8 * len(owned)), np.float32)
    paths = _Paths(rays, labels.shape, origin)
    steps_at_once = 1 << min(max(_CACHED // len(cells.inside), 8), 128).bit_length() - 1
    history = np.empty((steps_at_once, len(cells.inside)), np.uint8)
    for ray in range(rays):
        steps, moves = paths.steps(ray)
        planes = _walk(moves, cells, history)[: len(steps).bit_length()]
        lengths = np.concatenate([np.zeros(1, np.float32), paths.lengths[ray, steps]])
        place = ray % _RAYS_AT_ONCE
        lengths.take(_counts([plane[owned] for plane in planes]), out=values[place], mode="clip")
        if place == _RAYS_AT_ONCE - 1 or ray == rays - 1:
            found[pixels, ray - place : ray + 1] = values[: place + 1, : len(pixels)].T
    return found.reshape(height, width, rays)


def star_probability(labels: NDArray[Any]) -> Floats:
    """Return each pixel's depth in its cell, relative to the maximum, as StarDist's ``edt_prob`` does.

    It is the exact Euclidean distance to the nearest pixel outside the cell, divided by the maximum in the cell. Pixels
    outside the image count as part of the cell, unless a single cell fills the image.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background. All pixels of one number are one cell.

    Returns
    -------
    ndarray
        (H, W) float32, from 0 to 1; 0 on the background only.

    Examples
    --------
    >>> star_probability(np.array([[0, 1, 1, 2]]))
    array([[0., 1., 1., 1.]], dtype=float32)
    """
    if labels.size and labels.flat[0] > 0 and labels.min() == labels.max():
        return star_probability(np.pad(labels, 1))[1:-1, 1:-1].copy()
    probability = np.zeros(labels.shape, np.float32)
    for number, box in boxes_with_rim(labels):
        distance = _exact_distance(labels[box] == number)
        distance /= distance.max() + 1e-10  # as in StarDist, although no distance is below 1
        probability[box] += distance  # 0 elsewhere in the box
    return probability


def _exact_distance(mask: NDArray[np.bool_]) -> NDArray[np.float64]:
    """Return the distance to the nearest pixel outside a mask, rounded to float64; there must be such pixels."""
    import cv2
    from scipy.ndimage import distance_transform_edt

    if max(mask.shape) > _SQUARES_ARE_KNOWN:
        exact: NDArray[np.float64] = distance_transform_edt(mask)
        return exact
    rounded = cv2.distanceTransform(mask.view(np.uint8), cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
    squares = np.square(rounded, dtype=np.float64)
    np.rint(squares, out=squares)
    return np.sqrt(squares, out=squares)


class _Neighbours:
    """Bits in raster order: 1 if a pixel belongs to the same cell as a given neighbour."""

    BEFORE, AFTER = 1, 2  # padding in bytes, so that bits may be shifted beyond each end

    def __init__(self, labels: NDArray[Any]) -> None:
        self._labels, self.width = labels, labels.shape[1]
        self._is_cell = labels > 0
        self._shifted: dict[tuple[int, int, int], Bits] = {}
        self._lines: dict[tuple[bytes, bytes], Bits] = {}
        self.inside = self.packed(self._is_cell)

    def packed(self, mask: NDArray[np.bool_]) -> Bits:
        """Return a mask of the image as packed bits."""
        ends = np.zeros(self.BEFORE, np.uint8), np.zeros(self.AFTER, np.uint8)
        return np.concatenate([ends[0], np.packbits(mask, bitorder="little"), ends[1]])

    def shifted(self, neighbour: tuple[int, int, int]) -> Bits:
        """Return whether a pixel's neighbour at an offset is in the same cell, with bits shifted by 0 to 7."""
        if neighbour not in self._shifted:
            down, right, bits = neighbour
            self._shifted[neighbour] = self._shift(down, right, bits) if bits else self.packed(self._same(down, right))
        return self._shifted[neighbour]

    def of_lines(self, lines: tuple[bytes, bytes]) -> Bits:
        """Return the pixels in the given rows and columns."""
        if lines not in self._lines:
            rows, columns = (np.frombuffer(line, np.bool_) for line in lines)
            self._lines[lines] = self.packed(rows[:, None] & columns)
        return self._lines[lines]

    def _shift(self, down: int, right: int, bits: int) -> Bits:
        plane = self.shifted((down, right, 0))
        result: Bits = plane >> np.uint8(bits)
        result[:-1] |= plane[1:] << np.uint8(8 - bits)
        return result

    def _same(self, down: int, right: int) -> NDArray[np.bool_]:
        height, width = self._labels.shape
        rows, columns = max(height - abs(down), 0), max(width - abs(right), 0)
        here = slice(max(-down, 0), max(-down, 0) + rows), slice(max(-right, 0), max(-right, 0) + columns)
        there = slice(max(down, 0), max(down, 0) + rows), slice(max(right, 0), max(right, 0) + columns)
        same = np.zeros((height, width), np.bool_)
        np.equal(self._labels[here], self._labels[there], out=same[here])
        same &= self._is_cell
        return same


class _Paths:
    """Positions along rays, relative to their pixels. All arithmetic is in float32, in StarDist's order."""

    def __init__(self, rays: int, shape: tuple[int, int], origin: tuple[int, int]) -> None:
        self._shape, self._origin = shape, origin
        unit = _sine_and_cosine(np.arange(rays, dtype=np.float32) * np.float32(2 * np.pi / rays))[..., None]  # y, x
        longest = int(np.hypot(*shape)) + 3  # steps after which every ray has left the image
        self._places = np.cumsum(np.broadcast_to(unit, (2, rays, longest)), axis=2, dtype=np.float32)
        y, x = self._places + (_HALF / np.abs(unit).max(axis=0) - _ONE) * unit
        self.lengths: Floats = np.sqrt(y * y + x * x)
        rounded = np.rint(self._places).astype(np.int64)
        self._last = np.concatenate([np.zeros((2, rays, 1), np.int64), rounded[..., :-1]], axis=2)
        self._by = rounded - self._last
        self._halfway = self._find_halfway()

    def _find_halfway(self) -> NDArray[np.bool_]:
        """Return the steps whose rounding may depend on the pixel's position: halfway between two, within float32."""
        farthest = max(first + size for first, size in zip(self._origin, self._shape, strict=True))
        told_apart = 2 * np.spacing(np.float32(farthest + self._places.shape[2]))
        part = self._places - np.floor(self._places)
        halfway: NDArray[np.bool_] = (np.abs(part - _HALF) <= told_apart).any(axis=0)
        return halfway

    def steps(self, ray: int) -> tuple[NDArray[np.intp], Iterator[list[_Move]]]:
        """Return the numbers of the steps that take any ray to another pixel, and the moves of each."""
        halfway = self._halfway[ray]
        differs = halfway.copy()
        differs[1:] |= halfway[:-1]
        (top, left), (down, right) = self._last[:, ray], self._by[:, ray]
        steps = np.flatnonzero(differs | (down != 0) | (right != 0))
        places = (top * self._shape[1] + left)[steps]
        parts = (places >> 3, places & 7, down[steps], right[steps], differs[steps], steps)
        moves = zip(*(part.tolist() for part in parts), strict=True)
        return steps, (
            self._by_pixel(ray, step) if is_split else [(byte, (down, right, bit), None)]
            for byte, bit, down, right, is_split, step in moves
        )

    def _by_pixel(self, ray: int, step: int) -> list[_Move]:
        """Return the moves of a step for which rays of different pixels differ."""
        before = self._of_lines(ray, step - 1) if step else [np.zeros(size, np.int64) for size in self._shape]
        rows, columns = map(_grouped, before, self._of_lines(ray, step))
        moves: list[_Move] = []
        for ((top, down), in_rows), ((left, right), in_columns) in product(rows, columns):
            byte, bits = divmod(top * self._shape[1] + left, 8)
            moves.append((byte, (down - top, right - left, bits), (in_rows, in_columns)))
        return moves

    def _of_lines(self, ray: int, step: int) -> list[NDArray[np.int64]]:
        """Return the movement of a step for each row and for each column."""
        result = []
        for axis, (first, size) in enumerate(zip(self._origin, self._shape, strict=True)):
            lines = np.arange(first, first + size)
            places = np.rint(lines.astype(np.float32) + self._places[axis, ray, step])
            result.append(places.astype(np.int64) - lines)
        return result


def _sine_and_cosine(angles: Floats) -> Floats:
    """Return the sine and the cosine of angles, (2, n), equal bit for bit to those of glibc in float32.

    StarDist uses these on Linux; some are not the float32 nearest to the exact value.
    """
    exact = angles.astype(np.float64)
    quarters = np.floor(exact * (2 / np.pi) + 0.5).astype(np.int64)
    x = exact - quarters * (np.pi / 2)
    square = x * x
    sine = (x + x * square * _SINE[0]) + x * square**2 * (_SINE[1] + square * _SINE[2])
    fourth = square * square
    cosine = (1 + square * _COSINE[0] + fourth * _COSINE[1]) + fourth * square * (_COSINE[2] + square * _COSINE[3])
    turned = [sine, cosine, -sine, -cosine]
    both = [np.choose((quarters + turn) & 3, turned) for turn in range(2)]
    return np.stack(both).astype(np.float32)


def _grouped(before: NDArray[np.int64], after: NDArray[np.int64]) -> list[tuple[tuple[int, int], bytes]]:
    """Return each pair of values that lines have before and after (at most two of each), and the lines that have it."""
    pairs = product({int(before.min()), int(before.max())}, {int(after.min()), int(after.max())})
    groups = [(pair, (before == pair[0]) & (after == pair[1])) for pair in pairs]
    return [(pair, lines.tobytes()) for pair, lines in groups if lines.any()]


def _walk(moves: Iterator[list[_Move]], cells: _Neighbours, history: NDArray[np.uint8]) -> list[Bits]:
    """Trace the rays of all pixels. Return the number of steps within the cell, as bit planes of value 1, 2, 4, ...

    Bits of as many steps as `history` has rows are buffered.
    """
    rows = len(history)
    history[0] = cells.inside
    row, done = 0, 0
    planes: list[Bits] = []
    for move in moves:
        alive, row = history[row], row + 1
        if row == rows:
            _add(planes, history, done)
            row, done = 0, done + rows
        result = history[row]
        _move(alive, move, cells, result)
        if row % _CHECKED == 0 and not result.any():
            break
    _add(planes, history[: row + 1], done)
    return planes


def _move(alive: Bits, moves: list[_Move], cells: _Neighbours, result: Bits) -> None:
    """Clear the bits of rays that leave their cell in a step."""
    end = len(alive)
    if moves[0][2] is not None:
        result[:] = 0
    for byte, neighbour, lines in moves:
        stays = cells.shifted(neighbour)
        start, stop = max(-byte, 0), max(end - max(byte, 0), 0)
        here, there = slice(start, stop), slice(start + byte, max(stop + byte, 0))
        if lines is None:
            np.bitwise_and(alive[here], stays[there], out=result[here])
            result[:start] = 0  # these rays have left the image
            result[stop:] = 0
        else:
            result[here] |= alive[here] & stays[there] & cells.of_lines(lines)[here]


def _add(planes: list[Bits], history: Bits, done: int) -> None:
    """Add rows of bits, whose number is a power of two, to bit planes of their counts; `done` rows were added before.

    As a bit that is 0 stays 0, the count is the index of its last 1, and its bit of value v is the parity of the number
    of ones among every v-th row.
    """
    value, place = 1, 0
    while value <= len(history) or (done + len(history)) % value == 0:
        odd = np.bitwise_xor.reduce(history[value - 1 :: value] if value <= len(history) else history[-1:])
        if place == len(planes):
            planes.append(odd)
        else:
            planes[place] ^= odd
        value, place = 2 * value, place + 1


def _counts(planes: list[Bits]) -> NDArray[Any]:
    """Return the numbers (8 m,) whose bits, from the lowest, are in planes of m bytes."""
    low = _bytes(planes[:8])
    return low if len(planes) <= 8 else low + np.uint16(256) * _bytes(planes[8:])


def _bytes(planes: list[Bits]) -> Bits:
    numbers = np.zeros(len(planes[0]), np.uint64)
    for plane in reversed(planes):
        numbers <<= np.uint64(1)  # of 8 numbers, one byte each, with at most 8 bits
        numbers |= np.unpackbits(plane, bitorder="little").view(np.uint64)
    return numbers.view(np.uint8)


def rays(cells: Cells, done: Done, recipe: Recipe) -> Floats:
    """Return the rays of the cells, (H, W, n) float32."""
    return star_distances(cells.labels, recipe.of(StarDist).rays, cells.origin)


def probability(cells: Cells, done: Done, recipe: Recipe) -> Floats:
    """Return the probability of the cells, (H, W) float32."""
    return star_probability(cells.labels)


def angles(recipe: Recipe) -> tuple[str, ...]:
    """Return the names of the rays: their angles in degrees, from along the row towards the next rows."""
    count = recipe.of(StarDist).rays
    return tuple(f"{360 * ray / count:g}" for ray in range(count))


RAYS = Values(
    name="stardist_rays",
    compute=rays,
    dtype="float32",
    channels=angles,
    about="distance to the border of the cell along each ray, in pixels; ray 0 points along the row, further rays "
    "turn towards higher rows; 0 on the background",
    title="StarDist's rays",
    rule="rays to the border",
    beyond=Beyond.CELLS,
    is_stored=False,
    is_recomputed=True,
)

PROBABILITY = Values(
    name="stardist_probability",
    compute=probability,
    dtype="float32",
    about="exact distance to the nearest pixel outside the cell, divided by the maximum in the cell; 0 on the "
    "background",
    title="StarDist's probability",
    rule="distances in each cell",
    around=lambda _: 1,
    beyond=Beyond.CELLS,
)


@dataclass(frozen=True, slots=True)
class StarDist(Family):
    """Star-convex polygons."""

    name = "stardist"
    title = "StarDist"
    about = (
        "The distance from each pixel to the border of its cell along rays, and a probability that rises towards the "
        "inside of the cell: the targets of StarDist."
    )
    credit = "rays and probability are after StarDist by Schmidt, Weigert et al., https://github.com/stardist/stardist"
    targets = (RAYS, PROBABILITY)

    rays: int = option(32, "number of rays per pixel", 3, 1024)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the polygons that are probable and do not overlap better ones."""
        from cellprep.core.decode.stardist import star_to_labels

        return star_to_labels(arrays["stardist_probability"], arrays["stardist_rays"])
