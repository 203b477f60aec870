"""Energy back into instances: pure functions of arrays, by name."""

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from cellprep.decode.maps import Maps, read_maps
from cellprep.decode.numbering import number_in_raster_order
from cellprep.decode.original import original
from cellprep.decode.tops import parted_by_tops
from cellprep.decode.walls import walls_to_owners
from cellprep.decode.watershed import grown_seeds
from cellprep.errors import RecipeError

__all__ = ["DECODERS", "DEFAULT_DECODER", "energy_to_labels", "find_decoder"]

#: The decoders by name: the author's cut; seeds grown by watershed; seeds whose walls and pieces find their owners;
#: what lies below each top of the energy.
DECODERS: dict[str, Callable[[Maps], NDArray[np.int32]]] = {
    "original": original,
    "watershed": grown_seeds,
    "walls": walls_to_owners,
    "tops": parted_by_tops,
}

#: The decoder that is meant unless one is named.
DEFAULT_DECODER = "walls"


def energy_to_labels(
    energy: ArrayLike,
    uvec: ArrayLike | None,
    mask: ArrayLike,
    walls: ArrayLike | None = None,
    decoder: str = DEFAULT_DECODER,
) -> NDArray[Any]:
    """Decode the energy of an image into its instances.

    Parameters
    ----------
    energy
        (H, W) levels. What lies outside the mask does not matter.
    uvec
        (H, W, 2) unit vectors, or None. Where they are 0, the mask may be larger than its cells.
    mask
        (H, W), any dtype: ``semseg[..., 0] + semseg[..., 1]``, above 0 where there are cells.
    walls
        (H, W), any dtype: ``semseg[..., 1]`` where it is known, above 0 on walls. Unless given, walls are the pixels
        of the mask at level 0. (``background_cell`` gives walls a level, so that only given walls are sure ones.)
    decoder
        A name in `cellprep.DECODERS`.

    Returns
    -------
    ndarray
        (H, W) uint16, or uint32 beyond 65,535 instances: 0 = background, then 1, 2, ... in the order in which rows
        read from the top first meet them. 0 outside the mask, with two exceptions: the dilation of ``original`` may
        leave it; and where levels say that the mask has lost its rim, ``walls`` gives that back, up to 3 pixels wide.

    Raises
    ------
    RecipeError
        If there is no such decoder.
    UsageError
        If the shapes do not agree.

    Examples
    --------
    >>> energy = np.array([[1, 1, 1, 0, 1, 1, 1]] * 12)
    >>> energy_to_labels(energy, None, np.ones_like(energy))[0]
    array([1, 1, 1, 1, 2, 2, 2], dtype=uint16)
    """
    decode = find_decoder(decoder)
    return number_in_raster_order(decode(read_maps(energy, uvec, mask, walls)))


def find_decoder(name: str) -> Callable[[Maps], NDArray[np.int32]]:
    """Look a decoder up by its name."""
    if name not in DECODERS:
        raise RecipeError(f"decoder {name!r} is unknown: it is one of {', '.join(DECODERS)}")
    return DECODERS[name]
