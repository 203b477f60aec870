"""Arrays of an image in a group of their own, which is no image of a store: nobody takes it for one."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cellprep.store.arrays import write_array
from cellprep.store.documents import group_document


def write_group(folder: Path, arrays: Mapping[str, NDArray[Any]], attributes: dict[str, Any]) -> None:
    """Write a Zarr format 3 group of arrays into a new folder, whose parent must exist.

    Parameters
    ----------
    folder
        The group's folder.
    arrays
        By name; each is one chunk, as in a store.
    attributes
        The group's attributes.
    """
    folder.mkdir()
    (folder / "zarr.json").write_bytes(group_document(attributes))
    for name, array in arrays.items():
        write_array(folder / name, name, array)
