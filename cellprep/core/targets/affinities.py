"""Affinities: whether a pixel and another one, some pixels away, belong to different cells.

The rule is that of torch-em's `AffinityTransform`: what a network learns for the Mutex Watershed (Wolf et al., ECCV
2018). As there, 1 stands for two pixels that belong apart, the opposite of what the name says.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import ROWS_AT_ONCE

#: Offsets (y, x) in pixels, those of torch-em's command for images.
OFFSETS = ((-1, 0), (0, -1), (-3, 0), (0, -3), (-9, 0), (0, -9), (-27, 0), (0, -27))


def affinities(
    labels: NDArray[Any],
    offsets: Sequence[tuple[int, int]] = OFFSETS,
    *,
    foreground: bool = True,
    mask: bool = False,
    ignored: int | None = None,
    ignored_borders: bool = False,
) -> NDArray[np.uint8]:
    """Return whether each pixel and the one at each offset from it have different labels.

    Parameters
    ----------
    labels
        (H, W) integers, 0 = background, which is a label as the others are.
    offsets
        (y, x) of each channel, in pixels.
    foreground
        Whether the first channel holds where there are cells: torch-em's ``add_binary_target``.
    mask
        Whether a mask follows, of as many channels: torch-em's ``add_mask``.
    ignored
        A label whose pixels are unknown, as those outside the image are: torch-em's ``ignore_label``.
    ignored_borders
        Whether the mask has pairs of a pixel of that label and of another one: torch-em's
        ``include_ignore_transitions``.

    Returns
    -------
    ndarray
        (H, W, channels) uint8: foreground, then for each offset 1 where the labels differ or one of the two pixels is
        unknown, and 0 where both are of one label; then the mask of each of these channels, 1 where both are known.

    Examples
    --------
    >>> labels = np.array([[0, 4, 4, 7]])
    >>> affinities(labels, [(0, -1)])[0].T
    array([[0, 1, 1, 1],
           [1, 1, 0, 1]], dtype=uint8)
    >>> affinities(labels, [(0, -1)], foreground=False, mask=True)[0].T
    array([[1, 1, 0, 1],
           [0, 1, 1, 1]], dtype=uint8)
    """
    import cv2

    height, width = labels.shape
    outside = int(labels.max()) + 1
    reach = max((abs(step) for offset in offsets for step in offset), default=0)
    # Around the image there is one more label, so that every pixel has a partner, and differs from it there.
    padded = np.pad(labels.astype(np.min_scalar_type(outside), copy=False), reach, constant_values=outside)
    known = padded != outside if ignored is None else (padded != outside) & (padded != ignored)
    result = np.empty((height, width, (foreground + len(offsets)) * (1 + mask)), np.uint8)
    for top in range(0, height, ROWS_AT_ONCE):
        end = min(top + ROWS_AT_ONCE, height)
        here, *moved = (
            (slice(reach + top + dy, reach + end + dy), slice(reach + dx, reach + dx + width))
            for dy, dx in ((0, 0), *offsets)
        )
        planes, masks = ([padded[here] > 0], [known[here]]) if foreground else ([], [])
        for there in moved:
            differ = padded[here] != padded[there]
            if ignored is not None:
                differ |= ~(known[here] & known[there])
            planes.append(differ)
            if mask and ignored_borders:
                masks.append((known[here] | known[there]) & (padded[there] != outside))
            elif mask:
                masks.append(known[here] & known[there])
        channels = [*planes, *masks] if mask else planes
        cv2.merge([channel.view(np.uint8) for channel in channels], result[top:end])
    return result
