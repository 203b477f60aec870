"""Arrays of an image in a separate group, which is not an image of a store."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cellprep.store.arrays import write_array
from cellprep.store.documents import group_document


def write_group(folder: Path, arrays: Mapping[str, NDArray[Any]], attributes: dict[str, Any]) -> None:
    """Write arrays as a Zarr format 3 group into a new folder, whose parent must exist.

    Parameters
    ----------
    folder
        Folder of the group.
    arrays
        Arrays by name. Each is one chunk, as in a store.
    attributes
        Attributes of the group.
    """
    folder.mkdir()
    (folder / "zarr.json").write_bytes(group_document(attributes))
    for name, array in arrays.items():
        write_array(folder / name, name, array)
