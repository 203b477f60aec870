"""The maps of one image that are decoded, brought to one form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.errors import UsageError


@dataclass(frozen=True, slots=True)
class Maps:
    """The maps of one image.

    Attributes
    ----------
    energy
        (H, W) uint8: levels, 0 outside the mask.
    mask
        (H, W) bool: where there are cells, their walls included.
    walls
        (H, W) bool: pixels of the mask that are walls.
    still
        (H, W) bool: pixels without a vector. Beside a single cell that is the background.
    """

    energy: NDArray[np.uint8]
    mask: NDArray[np.bool_]
    walls: NDArray[np.bool_]
    still: NDArray[np.bool_]


def read_maps(energy: ArrayLike, uvec: ArrayLike | None, mask: ArrayLike, walls: ArrayLike | None = None) -> Maps:
    """Check the maps of one image against each other.

    Raises
    ------
    UsageError
        If one has not the shape that it should have.
    """
    levels, inside = np.asarray(energy), np.asarray(mask)
    if levels.ndim != 2 or not levels.size:
        raise UsageError(f"energy has shape {levels.shape}: it should be (H, W), of at least one pixel")
    expected = {"mask": (inside.shape, levels.shape)}
    if uvec is not None:
        expected["uvec"] = (np.shape(uvec), (*levels.shape, 2))
    if walls is not None:
        expected["walls"] = (np.shape(walls), levels.shape)
    for name, (found, right) in expected.items():
        if found != right:
            raise UsageError(f"{name} has shape {found}, and energy {levels.shape}: {name} should be {right}")
    inside = inside > 0
    levels = np.where(inside, np.clip(levels, 0, 255), 0).astype(np.uint8)
    still = np.zeros(levels.shape, bool) if uvec is None else _is_zero(np.asarray(uvec))
    nothing: NDArray[np.bool_] = inside & (levels == 0)
    known = nothing if walls is None else (inside & (np.asarray(walls) > 0)) | (nothing & still)
    return Maps(levels, inside, known, still)


def _is_zero(vectors: NDArray[Any]) -> NDArray[np.bool_]:
    still: NDArray[np.bool_] = (vectors[..., 0] == 0) & (vectors[..., 1] == 0)
    return still
