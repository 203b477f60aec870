"""OME-Zarr's multiscale images, of version 0.4 (Zarr format 2) and 0.5 (format 3): what they are and their pixels."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError

__all__ = ["OMEZarrPixels", "label_names", "ome_attributes"]

_MICROMETRES = {"nanometer": 0.001, "micrometer": 1.0, "millimeter": 1000.0}


@dataclass(frozen=True, slots=True)
class OMEZarrPixels:
    """The full resolution of a multiscale image or label image.

    Attributes
    ----------
    path
        The folder of its group.
    """

    path: Path

    def __str__(self) -> str:
        return str(self.path)

    def sha256(self) -> str:
        """Return the hash of its pixels, in hex."""
        return hashlib.sha256(self.decode().tobytes()).hexdigest()

    def decode(self) -> NDArray[Any]:
        """Read it: (H, W), or (C, H, W) for several channels.

        Raises
        ------
        ImageFileError
            If it is a stack, or damaged.
        """
        import zarr

        pixels: Any
        names = [axis["name"] for axis in self._multiscale()["axes"]]
        try:
            group: Any = zarr.open_group(self.path, mode="r")
            pixels = np.asarray(group[self._multiscale()["datasets"][0]["path"]][...])
        except Exception as error:
            raise ImageFileError(f"{self.path} is damaged: {' '.join(str(error).split())}") from error
        single = tuple(place for place, name in enumerate(names) if name not in "yx" and pixels.shape[place] == 1)
        kept = "".join(name for place, name in enumerate(names) if place not in single)
        if kept not in ("yx", "cyx"):
            raise ImageFileError(f"{self.path} has the axes {kept}: images have y, x, and at most c before them")
        squeezed: NDArray[Any] = pixels.squeeze(single)
        return squeezed

    def pixel_size(self) -> float | None:
        """Return the side of a pixel in micrometres; None if there is no unit of length, or x and y differ."""
        multiscale = self._multiscale()
        transformations = multiscale["datasets"][0].get("coordinateTransformations", [])
        scale = next((found["scale"] for found in transformations if found.get("type") == "scale"), None)
        if scale is None:
            return None
        sizes = {
            step * _MICROMETRES[axis["unit"]] if axis.get("unit") in _MICROMETRES else None
            for axis, step in zip(multiscale["axes"], scale, strict=True)
            if axis["name"] in "yx"
        }
        return sizes.pop() if len(sizes) == 1 else None

    def _multiscale(self) -> dict[str, Any]:
        try:
            multiscale: dict[str, Any] = ome_attributes(self.path)["multiscales"][0]
            if multiscale["axes"][0]["name"] and multiscale["datasets"][0]["path"]:
                return multiscale
        except (KeyError, IndexError, TypeError):
            pass
        raise ImageFileError(f"{self.path} is no OME-Zarr image: it has no multiscales with axes and datasets")


def label_names(image: Path) -> list[str]:
    """Return the names of an image's label images."""
    names = ome_attributes(image / "labels").get("labels")
    return [name for name in names if isinstance(name, str)] if isinstance(names, list) else []


def ome_attributes(folder: Path) -> dict[str, Any]:
    """Return OME's attributes of a group; nothing if it has none, or is none."""
    for name, keys in (("zarr.json", ("attributes", "ome")), (".zattrs", ())):
        try:
            document = json.loads((folder / name).read_bytes())
            for key in keys:
                document = document[key]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(document, dict):
            return document
    return {}
