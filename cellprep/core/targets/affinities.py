"""Affinities: whether two pixels, some pixels apart, belong to different cells.

The rule is that of torch-em's `AffinityTransform`, for networks that use the Mutex Watershed (Wolf et al., ECCV 2018).
As in torch-em, 1 means that two pixels belong to different cells, contrary to the name.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from operator import index
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import ROWS_AT_ONCE, Cells
from cellprep.core.targets.family import Family
from cellprep.core.targets.recipe import Recipe
from cellprep.core.targets.target import Done, Values
from cellprep.core.tuning import option

Offsets = tuple[tuple[int, int], ...]

#: Offsets (y, x) in pixels, as in torch-em's command for images.
OFFSETS: Offsets = ((-1, 0), (0, -1), (-3, 0), (0, -3), (-9, 0), (0, -9), (-27, 0), (0, -27))

_FARTHEST, _MOST_OFFSETS = 1000, 100


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
        (H, W) integers, 0 = background, which counts as a label.
    offsets
        Offset (y, x) of each channel, in pixels.
    foreground
        Whether to add the foreground as the first channel: torch-em's ``add_binary_target``.
    mask
        Whether to add a mask with the same number of channels: torch-em's ``add_mask``.
    ignored
        A label whose pixels are unknown, like those outside the image: torch-em's ``ignore_label``.
    ignored_borders
        Whether pairs of a pixel of that label and of another one count as known: torch-em's
        ``include_ignore_transitions``.

    Returns
    -------
    ndarray
        (H, W, channels) uint8: foreground, then for each offset 1 where the labels differ or one of the two pixels is
        unknown, and 0 where the labels are equal; then a mask of each of these channels, 1 where both pixels are known.

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
    # Outside the image is one more label, so that every pixel has a partner there, with a different label.
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


def read_offsets(given: str | Iterable[Sequence[int]]) -> str:
    """Return offsets as one text, given as text or as pairs of numbers.

    Raises
    ------
    ValueError
        If they are invalid.

    Examples
    --------
    >>> read_offsets([(-1, 0), (0, -27)]), read_offsets("-1/0 0/-27")
    ('-1/0+0/-27', '-1/0+0/-27')
    """
    pairs = [pair.split("/") for pair in given.replace("+", " ").split()] if isinstance(given, str) else given
    try:
        offsets = [tuple(int(step) if isinstance(step, str) else index(step) for step in pair) for pair in pairs]
    except TypeError as error:
        raise ValueError(given) from error
    if not 0 < len(offsets) <= _MOST_OFFSETS or len(set(offsets)) < len(offsets):
        raise ValueError(given)
    if any(len(offset) != 2 or not 0 < max(map(abs, offset)) <= _FARTHEST for offset in offsets):
        raise ValueError(given)
    return "+".join(f"{dy}/{dx}" for dy, dx in offsets)


def _affinities(cells: Cells, done: Done, recipe: Recipe) -> NDArray[np.uint8]:
    its = recipe.of(Affinities)
    ignored = 0 if its.ignore_background else None
    return affinities(
        cells.labels,
        its.pairs,
        foreground=its.foreground,
        mask=its.mask,
        ignored=ignored,
        ignored_borders=its.background_borders,
    )


def _channels(recipe: Recipe) -> tuple[str, ...]:
    its = recipe.of(Affinities)
    names = [*(("foreground",) if its.foreground else ()), *its.offsets.split("+")]
    return (*names, *(f"mask {name}" for name in names if its.mask))


AFFINITIES = Values(
    name="affinities",
    compute=_affinities,
    dtype="uint8",
    channels=_channels,
    about="channels: foreground, 0 or 1; for each offset y/x, 1 where the pixel at the offset has another label or "
    "lies outside the image, 0 where it has the same label; with `mask`, a further channel for each of these, 1 where "
    "both pixels are known",
    title="affinities",
    rule="affinities",
    around=lambda recipe: max(abs(step) for pair in recipe.of(Affinities).pairs for step in pair),
    is_stored=False,
    is_recomputed=True,
)


@dataclass(frozen=True, slots=True)
class Affinities(Family):
    """Affinities of pixels at given offsets: 1 if they belong to different cells."""

    name = "affinities"
    title = "Affinities"
    about = (
        "Foreground, and whether a pixel and the pixel at a given offset belong to different cells: the targets of "
        "torch-em's networks for the Mutex Watershed."
    )
    credit = (
        "affinities are after torch-em's AffinityTransform by Pape et al., https://github.com/constantinpape/torch-em"
    )
    targets = (AFFINITIES,)

    offsets: str = option(
        read_offsets(OFFSETS),
        "offsets y/x of the other pixel, joined by +",
        read=read_offsets,
        right=f"up to {_MOST_OFFSETS} different offsets y/x of at most {_FARTHEST} pixels, joined by +, "
        "such as -1/0+0/-1",
    )
    foreground: bool = option(True, "whether the first channel is the foreground")
    mask: bool = option(False, "whether to add a channel of known values for each channel")
    ignore_background: bool = option(False, "whether the background counts as unknown")
    background_borders: bool = option(False, "whether borders between cells and background then remain known")

    @property
    def pairs(self) -> Offsets:
        """The offsets as pairs of numbers."""
        steps = (pair.split("/") for pair in self.offsets.split("+"))
        return tuple((int(dy), int(dx)) for dy, dx in steps)

    def decode(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """Return the cells found by the Mutex Watershed: (H, W) int32, 0 = background.

        Without a foreground channel the whole image is foreground, so that the background forms one or more cells.
        """
        from cellprep.core.decode.mutex import affinities_to_labels

        values, count = arrays["affinities"], len(self.pairs)
        inside = values[..., 0] > 0.5 if self.foreground else np.ones(values.shape[:2], np.bool_)
        return affinities_to_labels(values[..., self.foreground :][..., :count], self.pairs, inside)
