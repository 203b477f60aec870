"""Decoders: from energy back to instances."""

from collections.abc import Iterable, Mapping
from typing import Any, cast

from numpy.typing import ArrayLike, NDArray

from cellprep.core.decode.decoder import Decoder
from cellprep.core.decode.maps import Named, maps_of, read_maps
from cellprep.core.decode.numbering import number_in_raster_order
from cellprep.core.decode.original import Original
from cellprep.core.decode.tops import Tops
from cellprep.core.decode.walls import Walls
from cellprep.core.decode.watershed import Watershed
from cellprep.core.tuning import Option
from cellprep.errors import RecipeError
from cellprep.text.wording import described

__all__ = ["DECODERS", "DEFAULT_DECODER", "Decoder", "Option", "energy_to_labels", "find_decoder", "parse_options"]

#: The decoders by name: the original cut by level; seeds grown by watershed; seeds whose walls and fragments are
#: assigned to cells; basins around the maxima of the energy. The fields of each are its options.
DECODERS: dict[str, type[Decoder]] = {
    "original": Original,
    "watershed": Watershed,
    "walls": Walls,
    "tops": Tops,
}

#: The default decoder.
DEFAULT_DECODER = "walls"


def energy_to_labels(
    energy: ArrayLike | Named,
    uvec: ArrayLike | None = None,
    mask: ArrayLike | None = None,
    walls: ArrayLike | None = None,
    decoder: str = DEFAULT_DECODER,
    options: Mapping[str, float] | None = None,
    **values: float,
) -> NDArray[Any]:
    """Decode the energy of an image into its instances.

    Parameters
    ----------
    energy
        (H, W) levels; values outside the mask are ignored. Or the targets by name, as returned by
        `cellprep.compute_targets` or read by `cellprep.open_store`: ``energy``, and optionally ``semseg`` and ``uvec``,
        from which mask, walls and vectors are taken by default.
    uvec
        (H, W, 2) unit vectors. Where they are 0, the mask may extend beyond its cells.
    mask
        (H, W), any dtype: ``semseg[..., 0] + semseg[..., 1]``, above 0 where there are cells. By default the pixels
        above level 0, so that walls belong to no cell.
    walls
        (H, W), any dtype: ``semseg[..., 1]`` if known, above 0 on walls. By default the pixels of the mask at level 0.
        (With ``background_cell`` walls have a level above 0, so that they must be given to be known.)
    decoder
        A name in `cellprep.DECODERS`.
    options
        Values of the decoder's options by name, such as ``{"level": 2}`` for ``original``; other options keep their
        defaults.
    **values
        Options by name, such as ``level=2``.

    Returns
    -------
    ndarray
        (H, W) uint16, or uint32 beyond 65,535 instances: 0 = background, then 1, 2, ... in raster order of their first
        pixels. 0 outside the mask, with two exceptions: the dilation of ``original`` may extend beyond it; and where
        the levels show that the mask lacks its rim, ``walls`` restores up to 3 pixels of it.

    Raises
    ------
    RecipeError
        If the decoder or an option is unknown, or an option has an invalid value.
    UsageError
        If the shapes do not match, or an argument has the wrong type.

    Examples
    --------
    >>> import numpy as np
    >>> energy = np.array([[1, 1, 1, 0, 1, 1, 1]] * 12)
    >>> energy_to_labels(energy, None, np.ones_like(energy))[0]
    array([1, 1, 1, 1, 2, 2, 2], dtype=uint16)

    With all targets at once:

    >>> from cellprep import compute_targets
    >>> labels = np.kron([[1, 1, 2], [1, 1, 2]], np.ones((9, 9), int))
    >>> bool((energy_to_labels(compute_targets(labels)) == labels).all())
    True
    """
    if not isinstance(options, Mapping | None):
        raise RecipeError(f"options must be values by name, such as {{'level': 2}}, not {described(options)}")
    decode = find_decoder(decoder, {**(options or {}), **values})
    if hasattr(energy, "keys"):
        energy, uvec, mask, walls = maps_of(cast("Named", energy), uvec, mask, walls)
    return number_in_raster_order(decode(read_maps(energy, uvec, mask, walls)))


def find_decoder(name: str, options: Mapping[str, float] | None = None) -> Decoder:
    """Return the decoder of a name, with the given options.

    Raises
    ------
    RecipeError
        As `energy_to_labels`.

    Examples
    --------
    >>> find_decoder("original", {"level": 2})
    Original(level=2, min_size=20, min_hole=64, dilation=3)
    """
    if not isinstance(name, str) or name not in DECODERS:
        raise RecipeError(f"decoder {name!r} is unknown: use one of {', '.join(DECODERS)}")
    return DECODERS[name].tuned(name, options or {})


def parse_options(texts: Iterable[str]) -> dict[str, float]:
    """Parse decoder options such as ``level=2``; `find_decoder` validates them.

    Raises
    ------
    RecipeError
        If a text is not a name and a number, or a name occurs twice.

    Examples
    --------
    >>> parse_options(["depth=1.5", "ratio=1"])
    {'depth': 1.5, 'ratio': 1}
    """
    options: dict[str, float] = {}
    for text in texts:
        name, _, value = text.partition("=")
        try:
            number = float(value)
        except ValueError:
            raise RecipeError(
                f"decoder option {text!r} is not a name and a number: give name=value, such as level=2"
            ) from None
        if name in options:
            raise RecipeError(f"decoder option {name} is given twice: give it once")
        options[name] = int(number) if number.is_integer() else number
    return options
