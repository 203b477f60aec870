"""Input maps of decoders, in a common form."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.core.label_images import as_numbers
from cellprep.errors import UsageError


class Named(Protocol):
    """Arrays by name, such as a dict or a `cellprep.StoredImage`."""

    def keys(self) -> Iterable[str]:
        """Return the names."""

    def __getitem__(self, name: str, /) -> Any:
        """Return the array of a name."""


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of one image.

    Attributes
    ----------
    energy
        (H, W) uint8: levels, 0 outside the mask.
    mask
        (H, W) bool: cells with their walls.
    walls
        (H, W) bool: pixels of the mask that are walls.
    still
        (H, W) bool: pixels without a vector. Next to a single cell these are background.
    """

    energy: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    walls: NDArray[np.bool_]
    still: NDArray[np.bool_]


def maps_of(
    targets: Named, uvec: ArrayLike | None = None, mask: ArrayLike | None = None, walls: ArrayLike | None = None
) -> tuple[ArrayLike, ArrayLike | None, ArrayLike | None, ArrayLike | None]:
    """Return energy, vectors, mask and walls: the given ones, completed by the image's targets.

    Raises
    ------
    UsageError
        If the targets have no energy, or semseg is not (H, W, C).
    """
    names = [str(name) for name in targets.keys()]  # noqa: SIM118 - it may be no dict
    if "energy" not in names:
        raise UsageError(f"energy is missing; given are: {', '.join(names) or 'no targets'}")
    if "semseg" in names and (mask is None or walls is None):
        semseg = as_numbers(targets["semseg"], "semseg", "(H, W, 3)")
        if semseg.ndim != 3 or semseg.shape[2] < 2:
            raise UsageError(f"semseg has shape {semseg.shape}: it must be (H, W, 3)")
        mask = semseg[..., 0] + semseg[..., 1] if mask is None else mask
        walls = semseg[..., 1] if walls is None else walls
    return targets["energy"], targets["uvec"] if uvec is None and "uvec" in names else uvec, mask, walls


def read_maps(
    energy: ArrayLike, uvec: ArrayLike | None, mask: ArrayLike | None, walls: ArrayLike | None = None
) -> Maps:
    """Check that the maps of one image match.

    Raises
    ------
    UsageError
        If a map is not a numeric array or has the wrong shape.
    """
    levels = as_numbers(energy, "energy", "(H, W) levels")
    if levels.ndim != 2 or not levels.size:
        raise UsageError(f"energy has shape {levels.shape}: it must be (H, W), with at least one pixel")
    inside = levels if mask is None else as_numbers(mask, "mask", "(H, W)")
    vectors = None if uvec is None else as_numbers(uvec, "uvec", "(H, W, 2)")
    edges = None if walls is None else as_numbers(walls, "walls", "(H, W)")
    for name, array, right in (
        ("mask", inside, levels.shape),
        ("uvec", vectors, (*levels.shape, 2)),
        ("walls", edges, levels.shape),
    ):
        if array is not None and array.shape != right:
            raise UsageError(f"{name} has shape {array.shape}, and energy {levels.shape}: {name} must be {right}")
    inside = inside > 0
    levels = np.where(inside, np.clip(levels, 0, 255), 0).astype(np.uint8)
    still = np.zeros(levels.shape, bool) if vectors is None else _is_zero(vectors)
    nothing: NDArray[np.bool_] = inside & (levels == 0)
    known = nothing if edges is None else (inside & (edges > 0)) | (nothing & still)
    return Maps(levels, inside, known, still)


def _is_zero(vectors: NDArray[Any]) -> NDArray[np.bool_]:
    still: NDArray[np.bool_] = (vectors[..., 0] == 0) & (vectors[..., 1] == 0)
    return still
