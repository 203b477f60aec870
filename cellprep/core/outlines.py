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

_CANVAS = 2**18  # pixels; small cells are traced together on a canvas of this size
_RIGHT, _DOWN, _LEFT, _UP = range(4)


def trace_outlines(labels: ArrayLike) -> dict[int, list[Polygon]]:
    """Trace each cell of a label image along the edges of its pixels.

    The pixel in row y and column x is the square from (x, y) to (x + 1, y + 1). The polygons of a cell contain exactly
    its pixels and are valid according to the OGC's Simple Features: no ring touches itself, two rings touch only at
    corners, and each polygon is connected. A cell whose parts touch only at corners has one polygon per part.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background; numbers may be missing.

    Returns
    -------
    dict
        Polygons of each cell, by label in ascending order. A polygon is a list of closed rings, the exterior first,
        then its holes. A ring is (k, 2) int64, corners (x, y), with the last equal to the first. By the shoelace
        formula exteriors have positive areas and holes negative ones, as RFC 7946 requires.

    Raises
    ------
    UsageError
        If `labels` is not a label image.

    Examples
    --------
    >>> [[[exterior]]] = trace_outlines([[0, 1, 1]]).values()
    >>> exterior.tolist()
    [[1, 0], [3, 0], [3, 1], [1, 1], [1, 0]]

    Parts that touch at a corner become separate polygons:

    >>> len(trace_outlines([[2, 0], [0, 2]])[2])
    2
    """
    from skimage.measure import label

    image = as_label_image(labels)
    sides = _sides(label(image, background=0, connectivity=1))
    outlines: dict[int, list[Polygon]] = {}
    latest = 0
    for piece, ring in _rings(sides):
        if piece != latest:  # the exterior comes first; it starts at the upper left corner of one of the piece's pixels
            x, y = ring[0].tolist()
            outlines.setdefault(int(image[y, x]), []).append([])
            polygon = outlines[int(image[y, x])][-1]
            latest = piece
        polygon.append(ring)
    return dict(sorted(outlines.items()))


def trace_masks(runs: Runs) -> Iterator[list[Polygon]]:
    """Yield the polygons of each mask, as `trace_outlines` returns them. Masks may overlap; none may be empty.

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
    """Yield the polygons of cells, tracing many at once on a canvas, as single small cells have a high overhead."""
    lefts = np.cumsum([0, *(cell.mask.shape[1] for cell in cells)]).tolist()
    canvas = np.zeros((max(cell.mask.shape[0] for cell in cells), lefts[-1]), np.int32)
    for number, (cell, left) in enumerate(zip(cells, lefts, strict=False), start=1):
        rows, columns = cell.mask.shape
        canvas[:rows, left : left + columns] = cell.mask * np.int32(number)  # its margins separate it from others
    outlines = trace_outlines(canvas)
    for number, (cell, left) in enumerate(zip(cells, lefts, strict=False), start=1):
        corner = np.array([cell.origin[1] - left, cell.origin[0]])
        yield [[ring + corner for ring in polygon] for polygon in outlines[number]]


def simplify_polygons(polygons: list[Polygon], tolerance: float) -> list[Polygon]:
    """Simplify polygons, with at most `tolerance` pixels between a removed corner and the new sides.

    Corners are selected by the Ramer-Douglas-Peucker algorithm. A ring that would lose its area is left unchanged.

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
    """Return one ring that encloses the same area as several, for formats whose outlines have neither holes nor parts.

    Each ring is connected to those before it by a line of no width, there and back, between the two nearest corners.
    The line encloses nothing, so that the area is the same under every fill rule.

    Parameters
    ----------
    rings
        Closed rings, (k, 2) corners (x, y), with exteriors and holes in opposite directions.

    Returns
    -------
    ndarray
        (m, 2) corners, with the last one not equal to the first.

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
    """Return the indices of the nearest two corners, one of each ring."""
    from scipy.spatial import KDTree

    distances, places = KDTree(second).query(first)
    here = int(distances.argmin())
    return here, int(places[here])


@dataclass(frozen=True, slots=True)
class _Sides:
    """Pixel sides that separate pieces, each directed so that its own piece is on the right.

    They are sorted by piece, then by starting point in raster order.

    Attributes
    ----------
    piece
        (n,) piece that a side belongs to.
    start, end
        (n,) corners it leads from and to, in raster order of the (H + 1, W + 1) corners.
    direction
        (n,) 0 right, 1 down, 2 left, 3 up.
    corners
        Number of corners in a row, W + 1.
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
    """Yield each ring with its piece, sorted by piece; within a piece the ring with the topmost corner comes first."""
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
    """Return the next side of each side.

    Where two parts of one piece touch at a corner, both have a side that starts there. Turning left keeps rings from
    touching themselves: the two parts are connected elsewhere, so that the ring separates the enclosed area.
    """
    span = int(sides.end.max(initial=0)) + 1
    starts = sides.piece * span + sides.start
    ends = sides.piece * span + sides.end
    place = np.searchsorted(starts, ends)
    twin = np.minimum(place + 1, len(starts) - 1)
    is_left_turn = (starts[twin] == ends) & (sides.direction[twin] == (sides.direction - 1) % 4)
    return np.where(is_left_turn, twin, place)
