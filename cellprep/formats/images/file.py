"""An image file: its format, and its pixels, labels or mask."""

import hashlib
import io
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any, Protocol

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import ImageFileError
from cellprep.formats.images import IMAGE_FORMATS, LABEL_FORMATS, Raster, Tags, as_labels, as_mask, as_picture
from cellprep.formats.images.kinds import HEAD, kind_of, unreadable_problem
from cellprep.formats.images.orientation import Orientation
from cellprep.formats.images.pixel_size import Sides
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.images.raster import UnnamedAxesError
from cellprep.formats.images.stacks import chosen_of_picture, place_of_scene
from cellprep.store.image_ids import composed
from cellprep.system.files import open_file
from cellprep.system.places import is_remote

_KINDS = {known.kind for known in IMAGE_FORMATS.values()}
_MOST_HELD = 2**24  # bytes


class Pixels(Protocol):
    """An image in any kind of storage; ``str`` of it names its location."""

    def sha256(self) -> str:
        """Return a hash of its content, in hex."""

    def decode(self, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        """Return (H, W), or (C, H, W) for several channels.

        `shape`, (H, W), decides between the upright and the stored orientation, if either is possible.
        """

    def sides(self) -> Sides | None:
        """Return the sides of a pixel, (y, x) in micrometres, as decoded; None if unknown."""


@dataclass(frozen=True, slots=True)
class ImageFile:
    """An image file.

    Attributes
    ----------
    path
        Path of the file.
    orientation
        Whether to apply its Orientation tag, as viewers do; by default the size of the annotations decides if possible.
    keep_channels
        Whether grey images stored as RGB keep three channels.
    planes
        The scene and planes to read, and whether RGB becomes one channel.
    content
        Bytes of the file, if `hashed` has read them.
    known
        Tags of the file, if `hashed` has read them.
    """

    path: Path
    orientation: Orientation | None = None
    keep_channels: bool = False
    planes: StackOptions = field(default_factory=StackOptions)
    content: bytes | None = field(default=None, repr=False, compare=False)
    known: Tags | None = field(default=None, repr=False, compare=False)

    def __str__(self) -> str:
        return str(self.path)

    def sha256(self) -> str:
        """Return a hash of its content, in hex. Settings that change decoded values are included.

        Raises
        ------
        ImageFileError
            If it cannot be read.
        """
        return self.hashed()[0]

    def hashed(self) -> tuple[str, "ImageFile"]:
        """Return its `sha256`, and an object to decode from, with the file's bytes in memory unless these are many.

        A local TIFF whose image may continue in other files is read where it is. Microscope files may contain a
        thousand images, so only the pixels that are read are hashed.
        """
        if self.is_of_microscope:
            return hash_of_pixels(self.decode()), replace(self, known=self._known_tags())
        file = self._held()
        with file._opened() as stream:
            sha256 = hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]
            tags = self._tags(stream)
        if tags.may_have_others and file.content is not None and not is_remote(self.path):
            file = self
            with self._opened() as stream:
                tags = self._tags(stream)
        reading = [f"reading {tags.reading}"] if tags.reading > 1 else []
        reading += [f"orientation {self.orientation}"] if tags.orientation > 1 and self.orientation else []
        reading += ["channels keep"] if self.keep_channels else []
        reading += ["grey of one channel"] if self.keep_channels and tags.has_grey_alpha else []
        reading += [self.planes.words()] if self.planes else []
        for part in tags.parts:
            with suppress(OSError, ImageFileError):  # decoding reports missing files
                reading.append(ImageFile(part)._sha256_of_bytes())
        if reading:
            sha256 = hashlib.sha256(" ".join([sha256, *reading]).encode()).hexdigest()
        return sha256, replace(file, known=tags)

    def _held(self) -> "ImageFile":
        """Return the file with its bytes in memory, or unchanged if these are many or cannot be read."""
        with suppress(OSError, ImageFileError):
            if self.content is None and self.path.stat().st_size <= _MOST_HELD:
                with self._opened() as stream:
                    return replace(self, content=stream.read())
        return self

    @property
    def is_of_microscope(self) -> bool:
        """True if its extension is that of a microscope format."""
        known = IMAGE_FORMATS.get(self.path.suffix.lower())
        return known is not None and known.is_of_microscope

    def tag(self) -> int:
        """Return its Orientation tag, 1 to 8; 1 is upright."""
        return self._known_tags().orientation

    def scenes(self) -> tuple[str, ...]:
        """Return the names of its scenes, with empty strings for scenes without one; empty if it is a single image."""
        return self._known_tags().scenes

    def sides(self) -> Sides | None:
        """Return the sides of a pixel, (y, x) in micrometres, as decoded; None if the file does not have them."""
        with suppress(ImageFileError):  # decoding reports missing files or scenes
            tags = self._known_tags()
            sides = tags.sides[place_of_scene(tags.scenes or ("",), self.planes.scene)] if tags.sides else None
            is_turned = tags.orientation >= 5 and self.orientation != "ignore"
            return sides[::-1] if sides and is_turned else sides
        return None

    def _known_tags(self) -> Tags:
        if self.known is not None:
            return self.known
        with self._opened() as stream:
            return self._tags(stream)

    def decode(self, shape: tuple[int, int] | None = None) -> NDArray[Any]:
        """Decode the image, as viewers show it.

        Parameters
        ----------
        shape
            (H, W) of its annotations, if known: the image keeps its stored orientation, contrary to its Orientation
            tag, if it has this size only then.

        Returns
        -------
        ndarray
            (H, W), or (C, H, W) for several channels, in the file's own dtype. Alpha channels are dropped,
            and grey stored as RGB becomes one channel.

        Raises
        ------
        ImageFileError
            If the file cannot be read, is damaged, or contains a stack without a selected plane.
        """
        with self._problems_named():
            raster = self._raster(self.planes)
            upright = self.orientation != "ignore"
            if shape and self.orientation is None and raster.orientation >= 5:
                upright = shape != raster.values.shape[-2:] or shape[0] == shape[1]
            pixels = as_picture(raster, upright=upright, keep_channels=self.keep_channels)
            planes = self.planes if raster.to_choose is None else raster.to_choose
            if planes:
                pixels = chosen_of_picture(pixels, planes, is_rgb=raster.is_rgb or raster.palette is not None)
        return np.ascontiguousarray(pixels, pixels.dtype.newbyteorder("="))

    def decode_labels(self, beside: Callable[[], int] = lambda: 1) -> NDArray[Any]:
        """Decode the numbers of a label image, without checking that they are labels.

        Parameters
        ----------
        beside
            Returns the Orientation tag of its picture, as both may have the same tag.

        Returns
        -------
        ndarray
            (H, W) of any dtype; another shape if it is not a label image.

        Raises
        ------
        ImageFileError
            As for `decode`; also if the format is lossy, or tags are ambiguous for labels.
        """
        if self.path.suffix.lower() not in LABEL_FORMATS:
            raise ImageFileError(
                f"{self.path} is not a label image: its name must end in {', '.join(LABEL_FORMATS)}, formats that keep "
                "every number"
            )
        with self._problems_named():
            raster = self._plane()
            return as_labels(raster, upright=self._is_upright(raster, beside))

    def decode_mask(self, beside: Callable[[], int] = lambda: 1) -> NDArray[np.bool_]:
        """Decode a mask file: (H, W) bool, True where it is not black. Parameters and errors as in `decode_labels`."""
        with self._problems_named():
            raster = self._plane()
            return as_mask(raster, upright=self._is_upright(raster, beside))

    def format_problem(self) -> str:
        """Return why a file of a known format cannot be read; an empty string if its format is unknown."""
        try:
            with self._opened() as stream:
                kind = kind_of(stream.read(HEAD))
        except ImageFileError:
            return ""
        return f"{self.path}: {unreadable_problem(kind)}" if kind and kind not in _KINDS else ""

    def _is_upright(self, raster: Raster, beside: Callable[[], int]) -> bool:
        if raster.orientation != 1 and self.orientation is None and raster.orientation != beside():
            raise ImageFileError(
                f"its Orientation tag ({raster.orientation}) asks for a rotation, which not all programs apply to "
                "labels: choose --orientation apply or ignore"
            )
        return self.orientation != "ignore"

    def _plane(self) -> Raster:
        try:
            raster = self._raster()
            if raster.is_stacked:
                raise UnnamedAxesError("it may be a stack", " x ".join(map(str, raster.values.shape)))
            return raster
        except UnnamedAxesError as error:
            raise ImageFileError(
                f"it is a stack ({error.sizes}): labels and masks must be one plane, height x width: save the plane "
                "that belongs to the image"
            ) from error.__cause__

    def _raster(self, planes: StackOptions | None = None) -> Raster:
        with self._opened() as stream:
            head = stream.read(HEAD)
            stream.seek(0)
            if not head:
                raise ImageFileError("is empty")
            kind, format = kind_of(head), IMAGE_FORMATS.get(self.path.suffix.lower())  # noqa: A001
            if format is None:
                if kind and kind not in _KINDS:
                    raise ImageFileError(unreadable_problem(kind))
                raise ImageFileError(f"is not an image: its name must end in {', '.join(IMAGE_FORMATS)}")
            if kind != format.kind:
                raise ImageFileError(_other_kind(kind, format.kind))
            try:
                if planes is not None and format.decode_planes:
                    return format.decode_planes(stream, planes)
                return format.decode(stream)
            except (ImageFileError, MemoryError):
                raise
            except Exception as error:
                raise ImageFileError(f"it is damaged: it cannot be decoded as {format.kind}") from error

    def _tags(self, stream: IO[bytes]) -> Tags:
        format = IMAGE_FORMATS.get(self.path.suffix.lower())  # noqa: A001
        if format is None:
            return Tags()
        stream.seek(0)
        try:
            return format.tags(stream)
        except Exception:  # noqa: BLE001 - decoding tells what is wrong
            return Tags()

    def _sha256_of_bytes(self) -> str:
        with self._opened() as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()  # type: ignore[arg-type]

    def _opened(self) -> IO[bytes]:
        """Open a local file in place, so that huge files are not copied to memory; remote files are read at once."""
        if self.content is not None:
            return io.BytesIO(self.content)
        try:
            return io.BytesIO(self.path.read_bytes()) if is_remote(self.path) else open_file(self.path)
        except OSError as error:
            raise ImageFileError(f"cannot read {self.path}: {error.strerror}") from error

    @contextmanager
    def _problems_named(self) -> Iterator[None]:
        """Prefix each problem with the file's name."""
        try:
            yield
        except ImageFileError as error:
            problem = str(error)
            if str(self.path) in problem:
                raise
            link = " " if problem.startswith("is ") else ": "
            raise type(error)(f"{self.path}{link}{problem}") from error.__cause__


def may_have_scenes(path: Path) -> bool:
    """Return whether a file may contain several scenes, by its name: a microscope file, or a local OME-TIFF."""
    is_ome = path.name.lower().endswith((".ome.tif", ".ome.tiff"))
    return ImageFile(path).is_of_microscope or (is_ome and not is_remote(path))


def name_before_scene(path: Path) -> str:
    """Return the beginning of the ids of a file's scenes."""
    return composed(path.stem.removesuffix(".ome"))


def images_of_scenes(file: ImageFile) -> dict[str, ImageFile]:
    """Return the images of a file with several scenes, by id; empty if it contains one image.

    An id is the file's name and that of the scene, or its number, from 0, if names are missing or not unique.
    Characters that are invalid in ids become underscores.
    """
    scenes = file.scenes() if len(file.scenes()) > 1 else ()
    labels = [re.sub(r"[/\\\x00-\x1f\x7f]+", "_", name).strip() for name in scenes]
    found = {}
    for number, (name, label) in enumerate(zip(scenes, labels, strict=True)):
        is_own = bool(label) and labels.count(label) == 1
        chosen = replace(file.planes, scene=name if is_own else number)
        found[composed(f"{name_before_scene(file.path)}_{label if is_own else number}")] = replace(file, planes=chosen)
    return found


def fitting(pixels: Pixels, decoded: NDArray[Any], shape: tuple[int, int]) -> NDArray[Any]:
    """Return an image in its stored orientation, contrary to its Orientation tag, if only this fits its annotations.

    Parameters
    ----------
    pixels
        The image.
    decoded
        Result of its `decode`.
    shape
        (H, W) of its annotations.
    """
    return pixels.decode(shape) if decoded.shape[-2:] == shape[::-1] != shape else decoded


def how_turned(pixels: Pixels, decoded: NDArray[Any], fitted: NDArray[Any]) -> str:
    """Return the effect of an image's Orientation tag: applied or ignored; an empty string if it has none.

    Parameters
    ----------
    pixels
        The image.
    decoded
        Result of its `decode`.
    fitted
        Result of `fitting`.
    """
    if not isinstance(pixels, ImageFile) or pixels.tag() == 1:
        return ""
    return "ignored" if pixels.orientation == "ignore" or fitted.shape != decoded.shape else "applied"


def all_finite(pixels: NDArray[Any]) -> bool:
    """Return whether no pixel is NaN or infinite."""
    return pixels.dtype.kind != "f" or all(bool(np.isfinite(row).all()) for row in pixels.reshape(-1, pixels.shape[-1]))


def hash_of_pixels(pixels: NDArray[Any]) -> str:
    """Return the SHA-256, in hex, of an image's values, shape and type."""
    return hashlib.sha256(f"{pixels.dtype.str} {pixels.shape} ".encode() + pixels.tobytes()).hexdigest()


def _other_kind(kind: str, expected: str) -> str:
    if (kind, expected) == ("JPEG 2000", "Nikon ND2"):
        return "it is an ND2 file of the old, JPEG 2000-based format: export it as OME-TIFF, for example with Fiji"
    if kind in _KINDS:
        return f"it is a {kind} file with the extension of {expected}: rename it"
    return unreadable_problem(kind) if kind else f"it is damaged, or not a {expected}"
