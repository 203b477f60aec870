"""Reader of ImageJ's regions of interest: ``<id>.zip`` or ``<id>.roi`` next to images."""

import hashlib
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from roifile import ImagejRoi

from cellprep.core.filling import fill_outlines
from cellprep.core.rle import Order
from cellprep.errors import AnnotationError, CellprepError, RLEError, SourceError
from cellprep.formats.annotations.record import (
    Annotations,
    FaultyImage,
    ImageRecord,
    check_excluded,
    check_shape,
    most_common,
)
from cellprep.formats.imagej.regions import Ring, decode_region, is_regions, properties_of, read_regions, rings_of
from cellprep.formats.layouts.beside import BesideSource, find_beside, images_of
from cellprep.formats.layouts.groups import Group
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.layouts.listing import hash_of_listing
from cellprep.formats.names import is_mask_folder
from cellprep.store.image_ids import composed, id_problem
from cellprep.text.wording import printable

_ENDS = (".zip", ".roi")
_LOOKED_AT = 50  # files by which a folder of regions is recognised
# Parts of file names after or before the name of the image, or instead of it.
_BEHIND = re.compile(r"([_\-. ]|^)roi([_\- ]?set)?s?$", re.IGNORECASE)
_BEFORE = re.compile(r"^roi([_\- ]?set)?s?[_\-. ]", re.IGNORECASE)


@dataclass(frozen=True, slots=True, kw_only=True)
class RegionsImage(ImageRecord):
    """Regions of one image.

    Attributes
    ----------
    files
        An archive, or files of one region each; rows are positions of regions, from 1.
    """

    files: tuple[Path, ...]

    @property
    def needs_shape(self) -> bool:
        """True if only its image has the size, which is always the case."""
        return True

    def content(self) -> list[Any]:
        """Return the hash of each region's bytes."""
        return [hashlib.sha256(content).hexdigest() for content in self._contents()]

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Fill the regions."""
        size = self._shape(shape)
        contents = self._contents()
        check_excluded(self.excluded, range(1, len(contents) + 1))
        rows = [row for row in range(1, len(contents) + 1) if row not in self.excluded]
        regions, rings = [], []
        for row in rows:
            region, corners = self._region(row, contents[row - 1])
            regions.append(region)
            rings.append(corners)
        self._check_positions(regions)
        try:
            runs = fill_outlines(rings, size)
        except RLEError as error:
            raise self._fault(rows[error.place], error.problem) from error
        told = [properties_of(region) for region in regions]
        cell_types = tuple(properties.get("Class", "") for properties in told)
        names = tuple(region.name or "" for region in regions)
        return Annotations(runs, tuple(rows), cell_types, most_common(cell_types), scores=_scores(told), names=names)

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Read the regions one by one."""
        found = {}
        for row, content in enumerate(self._contents(), start=1):
            try:
                fill_outlines([rings_of(decode_region(content))], self._shape(shape))
            except RLEError as error:
                found[row] = error.problem
            except CellprepError as error:
                found[row] = str(error)
        return found

    def _contents(self) -> list[bytes]:
        return [content for file in self.files for content in read_regions(file)]

    def _region(self, row: int, content: bytes) -> tuple[ImagejRoi, list[Ring]]:
        name = ""
        try:
            region = decode_region(content)
            name = region.name
            return region, rings_of(region)
        except AnnotationError as error:
            raise self._fault(row, str(error), name) from error

    def _fault(self, row: int, problem: str, name: str = "") -> AnnotationError:
        called = f", {printable(name)}" if name else ""
        return AnnotationError(f"{self.files[0]} region {row}{called}: {problem}")

    def _check_positions(self, regions: list[ImagejRoi]) -> None:
        """Refuse regions in several slices or frames of a stack, which belong to different images."""
        for what in ("z_position", "t_position", "position"):
            places = sorted({getattr(region, what) for region in regions} - {0})
            if len(places) > 1:
                raise AnnotationError(
                    f"{self.files[0]} has regions in several slices of a stack ({places[0]}, {places[1]}): "
                    "keep those of one, or remove their positions in ImageJ (ROI Manager > More > Remove Positions)"
                )

    def _shape(self, shape: tuple[int, int] | None) -> tuple[int, int]:
        if shape is None:
            raise AnnotationError(
                f"{self.files[0]} does not have the size of its image: put the image next to it, with the same name, "
                "or give the images (--images)"
            )
        check_shape(shape)
        return shape


class ImageJRegions(BesideSource):
    """Annotations in regions of ImageJ: ``<id>.zip``, ``<id>_rois.zip`` or ``<id>.roi`` next to ``<id>.*``.

    In a folder with one image, all regions belong to this image, regardless of their names.

    Parameters
    ----------
    path
        The folder with its subfolders, or a single archive or region.

    Raises
    ------
    SourceError
        If there is no such file, or its image is unknown.
    """

    format = "imagej-roi"

    def __init__(self, path: Path, _order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        alone = not path.is_dir()
        layout = Layout(path.parent, 0) if alone else layout or Layout(path)
        found = [(group, file) for group in layout.groups for file in _files_of(group)]
        named = [(group, _name(group, file), file) for group, file in found if not alone or file.name == path.name]
        self._images = find_beside(named)
        if not self._images:
            raise SourceError(f"{path} contains no regions of ImageJ (.roi files, or .zip archives of these)")
        files = [file for beside in self._images.values() for file in beside.files]
        self.sha256 = hash_of_listing(files, path.parent if alone else path)
        known = {image for beside in self._images.values() for image in beside.images}
        if not alone:
            self.unannotated = [
                "/".join([*group.parts, image.name])
                for group in layout.groups
                for image in images_of(group)
                if image not in known
            ]

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path is such a file, or a folder with such files."""
        if path.is_dir():
            return super().recognises(path)
        return path.suffix.lower() in _ENDS and path.is_file() and is_regions(path)

    @classmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether a folder contains such files, and no masks."""
        if layout.has_masks or is_mask_folder(layout.path.resolve().name):
            return False
        files = [file for group in layout.groups for file in _files_of(group)]
        return any(map(is_regions, files[:_LOOKED_AT]))  # archives of images without cells are empty

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, beside in self._images.items():
            archives = [file for file in beside.files if file.suffix.lower() == ".zip"]
            problem = id_problem(image_id) or beside.problem
            if archives and len(beside.files) > 1:
                problem = f"several files belong to this image: {', '.join(map(str, beside.files))}; keep one archive"
            if problem:
                yield FaultyImage(image_id, f"{beside.files[0]}: {problem}")
            else:
                yield RegionsImage(image_id=image_id, source=self.name, files=tuple(beside.files), pixels=beside.pixels)


def _files_of(group: Group) -> list[Path]:
    return sorted(file for file in [*group.strangers, *group.images] if file.suffix.lower() in _ENDS)


def _name(group: Group, file: Path) -> str:
    """Return the name of the image of regions: from their file's name, or of the only image in the folder.

    Raises
    ------
    SourceError
        If it is unknown.
    """
    stem = composed(file.stem)
    short = _BEFORE.sub("", _BEHIND.sub("", stem))
    images = [composed(image.stem) for image in images_of(group)]
    if found := [name for name in (stem, short) if name in images]:
        return found[0]
    if len(images) == 1:
        return images[0]
    if not short:
        raise SourceError(
            f"the image of {file} is unknown: rename it to <id>_rois.zip, or keep only its image next to it"
        )
    return short


def _scores(told: list[dict[str, str]]) -> tuple[float, ...] | None:
    """Return the scores of all regions; None if any is not a number."""
    try:
        scores = tuple(float(properties["Score"]) for properties in told)
    except (KeyError, ValueError):
        return None
    return scores or None
