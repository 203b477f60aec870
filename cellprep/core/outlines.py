"""Outlines of cells along the edges of their pixels, as exact polygons."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_label_image
from cellprep.core.rle import Runs

if TYPE_CHECKING:
    from cellprep.core.shapes import Cutout

Polygon = list[NDArray[np.int64]]

_CANVAS = 2**18  # pixels, on which cells are traced together
_RIGHT, _DOWN, _LEFT, _UP = range(4)


def trace_outlines(labels: ArrayLike) -> dict[int, list[Polygon]]:
    """Trace each cell of a label image along the edges of its pixels.

    The pixel in row y and column x is the square from (x, y) to (x + 1, y + 1). The polygons of a cell hold exactly
    its pixels and are valid as the OGC's Simple Features define it: no ring touches itself, two rings meet in
    corners only, and each polygon is of one piece. A cell whose parts touch at corners only has one polygon per part.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; numbers may be missing.

    Returns
    -------
    dict
        By label, in ascending order, the cell's polygons. A polygon is a list of closed rings, the exterior first, then
        its holes. A ring is (k, 2) int64, corners (x, y), the last equal to the first. By the shoelace formula
        exteriors have positive areas and holes negative ones, as RFC 7946 wants it.

    Raises
    ------
    UsageError
        If `labels` is no label image.

    Examples
    --------
    >>> [[[exterior]]] = trace_outlines([[0, 1, 1]]).values()
    >>> exterior.tolist()
    [[1, 0], [3, 0], [3, 1], [1, 1], [1, 0]]

    Parts that touch at a corner are polygons of their own:

    >>> len(trace_outlines([[2, 0], [0, 2]])[2])
    2
    """
    from skimage.measure import label

    image = as_label_image(labels)
    sides = _sides(label(image, background=0, connectivity=1))
    outlines: dict[int, list[Polygon]] = {}
    latest = 0
    for piece, ring in _rings(sides):
        if piece != latest:  # it begins with its exterior, at the upper left corner of a pixel of its own
            x, y = ring[0].tolist()
            outlines.setdefault(int(image[y, x]), []).append([])
            polygon = outlines[int(image[y, x])][-1]
            latest = piece
        polygon.append(ring)
    return dict(sorted(outlines.items()))


def trace_masks(runs: Runs) -> Iterator[list[Polygon]]:
    """Yield the polygons of each mask, as `trace_outlines` returns them; masks may overlap, none is empty.

    Examples
    --------
    >>> from cellprep import parse_rle
    >>> [[[first]], [[second]]] = trace_masks(parse_rle(["1 2", "2 2"], (1, 3)))
    >>> first[:, 0].tolist(), second[:, 0].tolist()
    ([0, 2, 2, 0, 0], [1, 3, 3, 1, 1])
    """
    from cellprep.core.shapes import cutouts

    waiting: list[Cutout] = []
    height = width = 0
    for cutout in cutouts(runs):
        rows, columns = cutout.mask.shape
        if waiting and max(height, rows) * (width + columns) > _CANVAS:
            yield from _traced(waiting)
            waiting, height, width = [], 0, 0
        waiting.append(cutout)
        height, width = max(height, rows), width + columns
    if waiting:
        yield from _traced(waiting)


def _traced(cells: "Sequence[Cutout]") -> Iterator[list[Polygon]]:
    """Yield the polygons of cells, traced side by side at once: a small one alone takes little but calls."""
    lefts = np.cumsum([0, *(cell.mask.shape[1] for cell in cells)]).tolist()
    canvas = np.zeros((max(cell.mask.shape[0] for cell in cells), lefts[-1]), np.int32)
    for number, (cell, left) in enumerate(zip(cells, lefts, strict=False), start=1):
        rows, columns = cell.mask.shape
        canvas[:rows, left : left + columns] = cell.mask * np.int32(number)  # whose margins part it from others
    outlines = trace_outlines(canvas)
    for number, (cell, left) in enumerate(zip(cells, lefts, strict=False), start=1):
        corner = np.array([cell.origin[1] - left, cell.origin[0]])
        yield [[ring + corner for ring in polygon] for polygon in outlines[number]]


def simplify_polygons(polygons: list[Polygon], tolerance: float) -> list[Polygon]:
    """Return polygons of fewer corners, none of whose sides is farther from those left out than `tolerance` pixels.

    The corners that stay are those of Ramer, Douglas and Peucker's algorithm. A ring that it would leave without an
    area stays exact.

    Examples
    --------
    >>> stairs = np.array([[0, 0], [2, 0], [2, 1], [3, 1], [3, 2], [4, 2], [4, 4], [0, 4], [0, 0]])
    >>> [[ring]] = simplify_polygons([[stairs]], 0.8)
    >>> ring.tolist()
    [[0, 0], [2, 0], [4, 2], [4, 4], [0, 4], [0, 0]]
    """
    if not tolerance:
        return polygons
    return [[_simplified(ring, tolerance) for ring in polygon] for polygon in polygons]


def _simplified(ring: NDArray[np.int64], tolerance: float) -> NDArray[np.int64]:
    import cv2

    corners = cv2.approxPolyDP(ring[:-1].astype(np.int32)[:, None], tolerance, closed=True)[:, 0].astype(np.int64)
    return np.concatenate([corners, corners[:1]]) if len(corners) > 2 else ring


def join_rings(rings: Sequence[NDArray[np.int64]]) -> NDArray[np.int64]:
    """Return one ring that encloses what several do, for formats whose outlines have no holes and no parts.

    Each ring is joined to those before it by a line of no width, there and back, between the two corners that are
    nearest. The line encloses nothing, so the area is the same under every rule of filling.

    Parameters
    ----------
    rings
        Closed rings, (k, 2) corners (x, y), exteriors and holes of opposite turns.

    Returns
    -------
    ndarray
        (m, 2) corners, the last one not equal to the first.

    Examples
    --------
    >>> join_rings([np.array([[0, 0], [1, 0], [0, 1], [0, 0]]), np.array([[3, 0], [4, 0], [3, 1], [3, 0]])]).tolist()
    [[0, 0], [1, 0], [3, 0], [4, 0], [3, 1], [3, 0], [1, 0], [0, 1]]
    """
    joined = rings[0][:-1]
    for ring in rings[1:]:
        corners = ring[:-1]
        here, there = _nearest(joined, corners)
        detour = np.concatenate([corners[there:], corners[: there + 1]])
        joined = np.concatenate([joined[: here + 1], detour, joined[here:]])
    return joined


def _nearest(first: NDArray[np.int64], second: NDArray[np.int64]) -> tuple[int, int]:
    """Return the places of the two corners, one of each, that are nearest to each other."""
    from scipy.spatial import KDTree

    distances, places = KDTree(second).query(first)
    here = int(distances.argmin())
    return here, int(places[here])


@dataclass(frozen=True, slots=True)
class _Sides:
    """Sides of pixels along which another piece begins, each directed so that its own piece is to its right.

    They are sorted by piece, then by where they start, rows first.

    Attributes
    ----------
    piece
        (n,) the piece that a side belongs to.
    start, end
        (n,) the corners it leads from and to, counted along the rows of the (H + 1, W + 1) corners.
    direction
        (n,) 0 right, 1 down, 2 left, 3 up.
    corners
        The number of corners in a row, W + 1.
    """

    piece: NDArray[np.int64]
    start: NDArray[np.int64]
    end: NDArray[np.int64]
    direction: NDArray[np.int64]
    corners: int


def _sides(pieces: NDArray[np.integer]) -> _Sides:
    padded = np.pad(pieces, 1)
    corners = pieces.shape[1] + 1
    above, below = padded[:-1, 1:-1], padded[1:, 1:-1]
    before, after = padded[1:-1, :-1], padded[1:-1, 1:]
    found = []
    for own, other, direction in (
        (below, above, _RIGHT),
        (before, after, _DOWN),
        (above, below, _LEFT),
        (after, before, _UP),
    ):
        y, x = np.nonzero((own != other) & (own > 0))
        near = y * corners + x
        far = near + (1 if direction in (_RIGHT, _LEFT) else corners)
        ends = (near, far) if direction in (_RIGHT, _DOWN) else (far, near)
        found.append(np.stack([own[y, x], *ends, np.full(len(y), direction)]))
    sides = np.concatenate(found, axis=1)
    piece, start, end, directions = sides[:, np.lexsort((sides[1], sides[0]))]
    return _Sides(piece, start, end, directions, corners)


def _rings(sides: _Sides) -> Iterator[tuple[int, NDArray[np.int64]]]:
    """Yield each ring with its piece: piece by piece, and of each piece first the ring with its topmost corner."""
    following = _following(sides)
    turns = np.empty(len(following), bool)
    turns[following] = sides.direction[following] != sides.direction
    points = np.stack([sides.start % sides.corners, sides.start // sides.corners], axis=1)
    following_list, turns_list = following.tolist(), turns.tolist()
    unseen = bytearray(b"\1") * len(following_list)
    for first, piece in enumerate(sides.piece.tolist()):
        if not unseen[first]:
            continue
        ring, side = [], first
        while unseen[side]:
            unseen[side] = 0
            if turns_list[side]:
                ring.append(side)
            side = following_list[side]
        yield piece, points[[*ring, ring[0]]]


def _following(sides: _Sides) -> NDArray[np.intp]:
    """Return the side that each side goes on to.

    Where two parts of one piece touch at a corner, both have a side that starts there. The left turn keeps every ring
    from touching itself: the two parts are connected elsewhere, so it parts what lies between them from the rest.
    """
    span = int(sides.end.max(initial=0)) + 1
    starts = sides.piece * span + sides.start
    ends = sides.piece * span + sides.end
    place = np.searchsorted(starts, ends)
    twin = np.minimum(place + 1, len(starts) - 1)
    is_left_turn = (starts[twin] == ends) & (sides.direction[twin] == (sides.direction - 1) % 4)
    return np.where(is_left_turn, twin, place)
