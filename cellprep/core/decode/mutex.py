"""The Mutex Watershed (Wolf et al., ECCV 2018), which derives cells from affinities, for edges of either sign.

Edges connect or separate two pixels. They are processed from the strongest to the weakest. A connecting edge merges the
clusters of its pixels unless an earlier edge has separated them; a separating edge keeps them apart from then on.

Adjacent pixels that almost certainly belong together are merged in advance, as no other edge can separate them. Between
two such pieces only the strongest edge of either sign matters, so that few edges remain. Edges between pieces that
touch at a corner come last: they merge all pieces that have not been separated.
"""

from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Labels, keep_large

Offsets = Sequence[tuple[int, int]]
_Places = tuple[slice, slice]

_DIAGONALS = ((1, 1), (1, -1))


def affinities_to_labels(
    affinities: NDArray[Any],
    offsets: Offsets,
    foreground: NDArray[np.bool_],
    sure: float = 0.9,
    smallest: int = 10,
) -> Labels:
    """Return the cells described by affinities.

    Parameters
    ----------
    affinities
        (H, W, channels) from 0 to 1: confidence that a pixel and the one at an offset belong to different cells.
    offsets
        Offset (y, x) of each channel, in pixels.
    foreground
        (H, W) bool: where there are cells.
    sure
        Confidence from 0.5 to 1 above which neighbours are merged in advance.
    smallest
        Smallest number of pixels of a cell. Smaller ones are mostly fragments too far from the rest of their cell.

    Returns
    -------
    ndarray
        (H, W) int32: 0 outside the foreground and on cells that are too small; cells in any numbers.

    Examples
    --------
    Three pixels. The outer two belong together, the middle one to neither:

    >>> apart = np.array([[[1, 1], [0.9, 1], [0.8, 0.1]]])
    >>> affinities_to_labels(apart, [(0, -1), (0, -2)], np.ones((1, 3), bool), smallest=1)
    array([[1, 2, 1]], dtype=int32)
    """
    pieces = _pieces(affinities, offsets, foreground, 1 - sure)
    first, second, signs = _edges(affinities, offsets, pieces)
    root = _joined(int(pieces.max()) + 1, first.tolist(), second.tolist(), signs.tolist())
    return keep_large(root[pieces], smallest)


def _pieces(affinities: NDArray[Any], offsets: Offsets, foreground: NDArray[np.bool_], most: float) -> Labels:
    """Merge neighbours that almost certainly belong together: (H, W), 0 outside the foreground."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pixels = np.cumsum(foreground).reshape(foreground.shape) - 1  # indices of the foreground pixels
    pairs = [(pixels[:0, 0], pixels[:0, 0])]
    for channel, offset in enumerate(offsets):
        if max(map(abs, offset)) == 1:
            here, there = _both(foreground.shape, offset)
            joined = (affinities[..., channel][here] <= most) & foreground[here] & foreground[there]
            pairs.append((pixels[here][joined], pixels[there][joined]))
    one, other = (np.concatenate(ends) for ends in zip(*pairs, strict=True))
    count = int(foreground.sum())
    graph = coo_array((np.ones(len(one)), (one, other)), (count, count))
    pieces = np.zeros(foreground.shape, np.int32)
    pieces[foreground] = connected_components(graph, directed=False)[1] + 1 if count else 0
    return pieces


def _edges(
    affinities: NDArray[Any], offsets: Offsets, pieces: Labels
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.bool_]]:
    """Return the two pieces of each edge and whether it separates them, from the strongest to the weakest."""
    count = int(pieces.max()) + 1
    keys, strengths = [np.zeros(0, np.int64)], [np.zeros(0, np.float32)]
    for channel, offset in [*enumerate(offsets), *((None, offset) for offset in _DIAGONALS)]:
        here, there = _both(pieces.shape, offset)
        between = (pieces[here] != pieces[there]) & (pieces[here] > 0) & (pieces[there] > 0)
        one, other = (pieces[places][between].astype(np.int64) for places in (here, there))
        value = np.ones(len(one), np.float32) if channel is None else affinities[..., channel][here][between]
        parts = (value >= 0.5) & (channel is not None)
        keys.append((np.minimum(one, other) * count + np.maximum(one, other)) * 2 + parts)
        strengths.append(np.where(parts, value, 1 - value).astype(np.float32))
    key, strength = np.concatenate(keys), np.concatenate(strengths)
    order = np.lexsort((-strength, key))
    # The strongest edge for each pair of pieces and sign.
    first = order[np.flatnonzero(np.diff(key[order], prepend=-1))]
    first = first[np.argsort(-strength[first], kind="stable")]
    pair, parts = np.divmod(key[first], 2)
    return *np.divmod(pair, count), parts.astype(np.bool_)


def _joined(count: int, first: list[int], second: list[int], signs: list[bool]) -> Labels:
    """Process the edges, and return the representative of each piece's cluster: (count,) int32."""
    root = list(range(count))
    parted: defaultdict[int, set[int]] = defaultdict(set)

    def find(piece: int) -> int:
        while root[piece] != piece:
            root[piece] = piece = root[root[piece]]
        return piece

    for one, other, parts in zip(first, second, signs, strict=True):
        kept, joined = sorted((find(one), find(other)), key=lambda cluster: -len(parted[cluster]))
        if kept == joined or joined in parted[kept]:
            continue
        if parts:
            parted[kept].add(joined)
            parted[joined].add(kept)
            continue
        root[joined] = kept
        for enemy in parted.pop(joined):
            parted[enemy].remove(joined)
            parted[enemy].add(kept)
            parted[kept].add(enemy)
    return np.array([find(piece) for piece in range(count)], np.int32)


def _both(shape: tuple[int, int], offset: tuple[int, int]) -> tuple[_Places, _Places]:
    """Return the slices of pixels that have a partner at an offset, and of these partners."""
    here = tuple(slice(max(0, -step), max(0, size - max(0, step))) for size, step in zip(shape, offset, strict=True))
    there = tuple(slice(max(0, step), max(0, size + min(0, step))) for size, step in zip(shape, offset, strict=True))
    return (here[0], here[1]), (there[0], there[1])
