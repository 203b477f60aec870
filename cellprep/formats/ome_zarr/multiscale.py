"""OME-Zarr multiscale images, version 0.4 (Zarr format 2) and 0.5 (format 3): metadata and pixels."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any, NamedTuple

import msgspec
import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError, TooLargeError
from cellprep.formats.images import check_dtype
from cellprep.formats.images.file import hash_of_pixels
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.images.stacks import Stack, luminance, place_of_scene, read_planes
from cellprep.formats.ome_zarr.array import open_zarr, read_zarr
from cellprep.system.files import read_file
from cellprep.system.memory import check_memory
from cellprep.text.wording import count

_AXES = {"t": "T", "c": "C", "z": "Z", "y": "Y", "x": "X"}
_NAMES_OF_RGB = (["red", "green", "blue"], ["r", "g", "b"])
_COLOURS_OF_RGB = ["ff0000", "00ff00", "0000ff"]
_MICROMETRES = {"nanometer": 0.001, "micrometer": 1.0, "millimeter": 1000.0}


class _Axis(msgspec.Struct):
    name: str
    unit: str | None = None


class _Transformation(msgspec.Struct):
    scale: list[float] | None = None


class _Dataset(msgspec.Struct):
    path: str
    transformations: list[_Transformation] = msgspec.field(default=[], name="coordinateTransformations")


class _Multiscale(msgspec.Struct):
    axes: list[_Axis]
    datasets: Annotated[list[_Dataset], msgspec.Meta(min_length=1)]
    transformations: list[_Transformation] = msgspec.field(default=[], name="coordinateTransformations")


@dataclass(frozen=True, slots=True)
class OMEZarrPixels:
    """The full resolution of a multiscale image or label image.

    Attributes
    ----------
    path
        Folder of its group.
    planes
        The selection from a stack; None for labels, which have no selection.
    """

    path: Path
    planes: StackOptions | None = None

    def __str__(self) -> str:
        return str(self.path)

    def sha256(self) -> str:
        """Return the hash of its pixels, in hex, including the selection of planes, if any."""
        sha256 = hash_of_pixels(self.decode())
        return hashlib.sha256(f"{sha256} {self.planes.words()}".encode()).hexdigest() if self.planes else sha256

    def decode(self, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        """Read it: (H, W), or (C, H, W) for several channels; `shape` is ignored, as the orientation is defined.

        Raises
        ------
        ImageFileError
            If it is a stack without a selected plane, or damaged.
        """
        pixels = self._planes()
        if not (self.planes and self.planes.grey and pixels.ndim == 3 and self._is_rgb(pixels)):
            return pixels
        return luminance(pixels)

    def _is_rgb(self, pixels: NDArray[Any]) -> bool:
        """Return whether its channels are red, green and blue, by their names or colours if there are any.

        Otherwise, three 8-bit channels are RGB.
        """
        omero = ome_attributes(self.path).get("omero")
        told = omero.get("channels") if isinstance(omero, dict) else None
        listed = [one if isinstance(one, dict) else {} for one in told] if isinstance(told, list) else []
        if self.planes is None or self.planes.channel or len(pixels) != 3:
            return False
        if not listed:
            return pixels.dtype == np.uint8
        names, colours = ([str(one.get(key, "")).lower() for one in listed] for key in ("label", "color"))
        return names in _NAMES_OF_RGB or colours == _COLOURS_OF_RGB

    def _planes(self) -> NDArray[Any]:
        multiscale = self._multiscale()
        names = [axis.name for axis in multiscale.axes]
        if self.planes:
            with self._named():
                place_of_scene([""], self.planes.scene)
        with self._damage_named():
            folder = self._array(multiscale.datasets[0].path)
            is_chosen = self.planes is not None and self.planes.chooses
            pixels = open_zarr(folder) if is_chosen else read_zarr(folder)
        if len(names) != pixels.ndim:
            raise ImageFileError(f"{self.path} is damaged: it names {len(names)} axes, but has {pixels.ndim}")
        self._check_dtype(pixels)
        if is_chosen:
            return self._chosen(names, pixels)
        single = tuple(place for place, name in enumerate(names) if name not in ("y", "x") and pixels.shape[place] == 1)
        kept = [name for place, name in enumerate(names) if place not in single]
        if kept not in (["y", "x"], ["c", "y", "x"], ["y", "x", "c"]):
            raise ImageFileError(self._problem(names, pixels.shape))
        pixels = pixels.squeeze(single)
        pixels = pixels.astype(np.uint8) if pixels.dtype == bool else pixels
        return np.ascontiguousarray(np.moveaxis(pixels, 2, 0)) if kept[-1] == "c" else pixels

    @contextmanager
    def _damage_named(self) -> Iterator[None]:
        """Prefix each problem of an array with the image's path."""
        try:
            yield
        except TooLargeError as error:
            raise TooLargeError(f"{self.path}: {error}") from None
        except MemoryError:
            raise
        except Exception as error:  # the codecs have no common exception
            raise ImageFileError(f"{self.path} is damaged: {' '.join(str(error).split())}") from error

    def _chosen(self, names: list[str], array: Any) -> NDArray[Any]:
        """Read the selection from a stack, a zarr.Array, one channel at a time."""
        assert self.planes is not None
        stack = self._stack(names, array.shape)
        sides = [axis for axis in stack.axes if axis in "YX"]

        def read(places: Sequence[dict[str, int]]) -> NDArray[Any]:
            height, width = stack.size("Y"), stack.size("X")
            with self._damage_named():
                needed = len(places) * height * width * array.dtype.itemsize
                check_memory(needed, f"{count(len(places), 'plane')} of {height} x {width}")
                planes = np.stack([
                    np.asarray(array[tuple(slice(None) if axis in "YX" else at.get(axis, 0) for axis in stack.axes)])
                    for at in places
                ])  # fmt: skip
            return planes.astype(np.uint8) if planes.dtype == bool else planes

        if sides != ["Y", "X"]:
            raise ImageFileError(self._problem(names, array.shape))
        with self._named():
            return np.ascontiguousarray(read_planes(stack, self.planes, read))

    @contextmanager
    def _named(self) -> Iterator[None]:
        """Prefix each problem of the selection with the image's path."""
        try:
            yield
        except ImageFileError as error:
            raise error if str(self.path) in str(error) else ImageFileError(f"{self.path}: {error}") from None

    def _stack(self, names: list[str], shape: tuple[int, ...]) -> Stack:
        """Return its axes, with the names of channels from ``omero``, if each has one."""
        omero = ome_attributes(self.path).get("omero")
        channels = omero.get("channels") if isinstance(omero, dict) else None
        listed = channels if isinstance(channels, list) else []
        labels = [one.get("label") if isinstance(one, dict) else None for one in listed]
        axes = "".join(_AXES.get(name, "_") for name in names)
        stack = Stack(axes, shape)
        is_named = len(labels) == stack.size("C") and all(isinstance(label, str) and label for label in labels)
        return replace(stack, names=tuple(map(str, labels))) if is_named else stack

    def _problem(self, names: list[str], shape: tuple[int, ...]) -> str:
        sizes = " x ".join(f"{name} {size}" for name, size in zip(names, shape, strict=True))
        advice = None if self.planes is None else self._stack(names, shape).advice(self.planes)
        rule = "images must have y, x, and at most c before or after them"
        return f"{self.path} is a stack ({sizes}): {advice or rule}"

    def _check_dtype(self, pixels: NDArray[Any]) -> None:
        try:
            check_dtype(pixels.dtype)
        except ImageFileError as error:
            raise ImageFileError(f"{self.path}: {error}") from None

    def _array(self, path: str) -> Path:
        parts = path.split("/")
        if not all(parts) or {".", ".."} & set(parts) or "\\" in path:
            raise ImageFileError(f"{path!r} is not a path within it")
        if not (self.path / path).is_dir():
            raise ImageFileError(f"{path!r} is not in it")
        return self.path / path

    def sides(self) -> Sides | None:
        """Return the sides of a pixel, (y, x) in micrometres; None if there is no unit of length."""
        multiscale = self._multiscale()
        scale = np.ones(len(multiscale.axes))
        for step in (*multiscale.datasets[0].transformations, *multiscale.transformations):
            if step.scale is not None and len(step.scale) == len(scale):
                scale *= step.scale
        sizes = {
            axis.name: float(step) * _MICROMETRES.get(axis.unit or "", 0.0)
            for axis, step in zip(multiscale.axes, scale, strict=True)
        }
        y, x = sizes.get("y", 0.0), sizes.get("x", 0.0)
        return (y, x) if min(y, x) > 0 and max(y, x) < float("inf") else None

    def _multiscale(self) -> _Multiscale:
        try:
            return msgspec.convert(ome_attributes(self.path)["multiscales"][0], _Multiscale)
        except (KeyError, IndexError, TypeError, msgspec.ValidationError) as error:
            raise ImageFileError(
                f"{self.path} is not an OME-Zarr image of version 0.4 or 0.5: it has no multiscales with axes and "
                "datasets"
            ) from error


def label_names(image: Path) -> list[str]:
    """Return the names of an image's label images."""
    names = ome_attributes(image / "labels").get("labels")
    names = names if isinstance(names, list) else []
    return [name for name in names if isinstance(name, str) and ".." not in Path(name).parts]


class LabelProperties(NamedTuple):
    """Properties of the labels of a label image.

    Attributes
    ----------
    types, scores, type_scores
        ``class``, ``score`` and ``class_probability`` by label, of those that have one.
    """

    types: dict[int, str]
    scores: dict[int, float]
    type_scores: dict[int, float]


def label_properties(labels: Path) -> LabelProperties:
    """Return the properties of the labels of a label image."""
    about = ome_attributes(labels).get("image-label")
    listed = about.get("properties") if isinstance(about, dict) else None
    told = LabelProperties({}, {}, {})
    for entry in listed if isinstance(listed, list) else []:
        label = entry.get("label-value") if isinstance(entry, dict) else None
        if type(label) is int:
            if isinstance(kind := entry.get("class"), str) and kind:
                told.types[label] = kind
            for name, values in (("score", told.scores), ("class_probability", told.type_scores)):
                if type(value := entry.get(name)) in (int, float):
                    values[label] = float(value)
    return told


def ome_attributes(folder: Path) -> dict[str, Any]:
    """Return OME's attributes of a group; empty if there are none."""
    for name, keys in (("zarr.json", ("attributes", "ome")), (".zattrs", ())):
        try:
            document = json.loads(read_file(folder / name))
            for key in keys:
                document = document[key]
        except (OSError, ValueError, KeyError, TypeError, RecursionError):
            continue
        if isinstance(document, dict):
            return document
    return {}


def paths_in(folder: Path, group: str, list_name: str) -> list[str]:
    """Return the paths of a plate's wells, or of a well's images."""
    document = ome_attributes(folder).get(group)
    entries = document.get(list_name) if isinstance(document, dict) else None
    paths = [entry.get("path") for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []
    return [path for path in paths if isinstance(path, str) and path and not {"..", "/"} & set(Path(path).parts)]


def describe_zarr(folder: Path) -> str:
    """Describe a folder in terms of Zarr: an array with its shape and type, or a group; an empty string if neither."""
    for name in (".zattrs", "zarr.json", ".zarray", ".zgroup"):
        try:
            document = json.loads(read_file(folder / name))
        except (FileNotFoundError, IsADirectoryError, ValueError, RecursionError):
            continue
        except OSError as error:
            return f"Zarr with unreadable {name} ({error.strerror})"
        if name == ".zattrs":
            continue
        if isinstance(document, dict) and isinstance(shape := document.get("shape"), list):
            dtype = document.get("data_type", document.get("dtype"))
            return f"a plain Zarr array ({' x '.join(map(str, shape))}, {dtype})"
        return "a Zarr group without OME's multiscales"
    return ""
