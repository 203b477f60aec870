"""What is measured, and how."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cellprep.core.cells import find_rule
from cellprep.core.measures import DEFAULT_PROPERTIES, PROPERTIES
from cellprep.errors import UsageError
from cellprep.formats.images.orientation import Orientation, check_orientation
from cellprep.system.executor import check_jobs


@dataclass(frozen=True, slots=True)
class MeasureOptions:
    """What to measure, and how.

    Attributes
    ----------
    images
        Folder of image files, by id, in which intensities are measured. Unless given, those that the source itself has.
        Or images in memory, (H, W) or (C, H, W), by id, or one for one array of labels.
    properties
        Names in `PROPERTIES`, in the order of their columns. Unless given a useful set.
    pixel_size
        Side of a pixel in micrometres; what the source or the store says unless given.
    overlap
        The rule by which overlaps are resolved, where they are not: each pixel is measured for one cell.
    only
        The images to measure; all unless given.
    jobs
        Number of processes; -1 for one per core.
    quiet
        Whether to show no progress bar.
    orientation
        Whether image files are turned as their Orientation tag (EXIF) says: apply or ignore. Unless given, they are,
        but where their annotations have the size of the image as it is stored.

    Raises
    ------
    UsageError
        If a value is none that it can have.

    Examples
    --------
    >>> MeasureOptions(properties=("size",))
    Traceback (most recent call last):
    cellprep.errors.UsageError: property 'size' is unknown: it is one of area, area_bbox, ...
    """

    images: Path | str | Any = None
    properties: Sequence[str] = ()
    pixel_size: float | None = None
    overlap: str = "smaller-on-top"
    only: Sequence[str] = ()
    jobs: int = -1
    quiet: bool = False
    orientation: Orientation | None = None

    def __post_init__(self) -> None:
        for name, value in (("properties", self.properties), ("only", self.only)):
            if isinstance(value, str):
                raise UsageError(f"{name}={value!r} is a text: give a sequence of names")
        if unknown := [name for name in self.properties if name not in PROPERTIES]:
            raise UsageError(f"property {unknown[0]!r} is unknown: it is one of {', '.join(PROPERTIES)}")
        if self.pixel_size is not None and not 0 < self.pixel_size < float("inf"):
            raise UsageError(f"pixel size {self.pixel_size} is no length above 0, in micrometres")
        find_rule(self.overlap)
        check_jobs(self.jobs)
        check_orientation(self.orientation)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The properties that are measured."""
        return tuple(dict.fromkeys(self.properties or DEFAULT_PROPERTIES))

    @property
    def needs_images(self) -> bool:
        """Whether intensities are asked for by name."""
        return any(PROPERTIES[name].of_pixels for name in self.properties)
