"""The Mutex Watershed: cells from affinities (Wolf et al., ECCV 2018), in its form for edges of either sign.

Edges join two pixels or part them. They are taken from the strongest to the weakest: one that joins makes the two
clusters of its pixels one, unless something before has parted these; one that parts keeps them apart from then on.

Of two pixels side by side that almost surely belong together, no other edge will say otherwise: such pixels are pieces
from the beginning. Between two pieces only the strongest edge of either sign counts, so that few edges are left to go
through one by one. Last of all come edges between pieces that meet at a corner: they join what nothing has parted.
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
    """Return the cells that affinities stand for.

    Parameters
    ----------
    affinities
        (H, W, channels) from 0 to 1: how surely a pixel and the one at an offset belong apart.
    offsets
        (y, x) of each channel, in pixels.
    foreground
        (H, W) bool: where there are cells.
    sure
        From 0.5 to 1: how surely neighbours belong together that are of one piece from the beginning.
    smallest
        Pixels of a cell at least. Fewer are most often a piece of one that is too far from its others.

    Returns
    -------
    ndarray
        (H, W) int32: 0 outside the foreground, and on what is too small; cells in any numbers.

    Examples
    --------
    Three pixels, of which the outer two belong together, and the middle one to neither:

    >>> apart = np.array([[[1, 1], [0.9, 1], [0.8, 0.1]]])
    >>> affinities_to_labels(apart, [(0, -1), (0, -2)], np.ones((1, 3), bool), smallest=1)
    array([[1, 2, 1]], dtype=int32)
    """
    pieces = _pieces(affinities, offsets, foreground, 1 - sure)
    first, second, signs = _edges(affinities, offsets, pieces)
    root = _joined(int(pieces.max()) + 1, first.tolist(), second.tolist(), signs.tolist())
    return keep_large(root[pieces], smallest)


def _pieces(affinities: NDArray[Any], offsets: Offsets, foreground: NDArray[np.bool_], most: float) -> Labels:
    """Return pieces of pixels that almost surely belong together with a neighbour: (H, W), 0 outside the foreground."""
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    pixels = np.cumsum(foreground).reshape(foreground.shape) - 1  # of those of the foreground
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
    """Return the two pieces of each edge and whether it parts them, from the strongest to the weakest."""
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
    first = order[np.flatnonzero(np.diff(key[order], prepend=-1))]  # the strongest of each two pieces and sign
    first = first[np.argsort(-strength[first], kind="stable")]
    pair, parts = np.divmod(key[first], 2)
    return *np.divmod(pair, count), parts.astype(np.bool_)


def _joined(count: int, first: list[int], second: list[int], signs: list[bool]) -> Labels:
    """Go through the edges, and return for each piece the one that stands for its cluster: (count,) int32."""
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
    """Return where there are pixels with another one at an offset, and where those are."""
    here = tuple(slice(max(0, -step), max(0, size - max(0, step))) for size, step in zip(shape, offset, strict=True))
    there = tuple(slice(max(0, step), max(0, size + min(0, step))) for size, step in zip(shape, offset, strict=True))
    return (here[0], here[1]), (there[0], there[1])
