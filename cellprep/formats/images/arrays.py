"""NumPy files: NPY, and NPZ with one array."""

import math
import zipfile
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.formats.images.raster import Raster, check_dtype, place_channels
from cellprep.system.memory import check_memory

_READERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}


def decode_npy(stream: IO[bytes]) -> Raster:
    """Read an array: (H, W), or with up to four channels before or after.

    Raises
    ------
    ImageFileError
        If it is not an image, or claims more values than the file has.
    """
    stream.seek(0, 2)
    size = stream.tell()
    stream.seek(0)
    return _read(stream, size)


def decode_npz(stream: IO[bytes]) -> Raster:
    """Read the single array of an archive.

    Raises
    ------
    ImageFileError
        If there are several arrays, or as for `decode_npy`.
    """
    with zipfile.ZipFile(stream) as archive:
        arrays = [member for member in archive.infolist() if member.filename.endswith(".npy")]
        if len(arrays) != 1:
            names = ", ".join(member.filename.removesuffix(".npy") for member in arrays[:10])
            raise ImageFileError(
                f"it contains {len(arrays)} arrays{f' ({names})' if names else ''}: one is expected; save it as .npy"
            )
        with archive.open(arrays[0]) as member:
            return _read(member, arrays[0].file_size)


def _read(stream: IO[bytes], size: int) -> Raster:
    version = np.lib.format.read_magic(stream)
    shape, _, dtype = _READERS.get(version, np.lib.format.read_array_header_2_0)(stream)
    if dtype.hasobject:
        raise ImageFileError(
            "it contains Python objects: a numeric array is expected; if it is Cellpose's _seg.npy, save its masks as "
            "PNG or TIFF"
        )
    check_dtype(dtype)
    needed = math.prod(shape) * dtype.itemsize
    check_memory(needed, f"an array of {' x '.join(map(str, shape))} values")
    if needed > size:
        raise ImageFileError(f"it is damaged: it claims {needed:,} bytes of values, but has only {size:,} bytes")
    stream.seek(0)
    values: NDArray[Any] = np.lib.format.read_array(stream, allow_pickle=False)
    if values.ndim < 2 or not values.size:
        raise ImageFileError(f"it has the shape {values.shape}: an image must be (height, width)")
    placed = place_channels(values)
    is_rgb = placed.ndim == 3 and len(placed) == 3
    return Raster(values=placed, is_rgb=is_rgb, is_stacked=is_rgb and values.shape[-1] != 3)
