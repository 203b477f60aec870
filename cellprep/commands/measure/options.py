"""Options of measuring."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

from numpy.typing import NDArray

from cellprep.core.cells import Overlap
from cellprep.core.measures import DEFAULT_PROPERTIES, PROPERTIES
from cellprep.errors import UsageError
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.system.executor import check_jobs
from cellprep.system.options import Jobs, Only, Option, Quiet, documented, take_values


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class MeasureOptions:
    """Options of measuring: what to measure, and how.

    Raises
    ------
    UsageError
        If a value is invalid.

    Examples
    --------
    >>> MeasureOptions(properties=("size",))
    Traceback (most recent call last):
    cellprep.errors.UsageError: property 'size' is unknown: use one of area, area_bbox, ...
    """

    images: Annotated[
        Path | str | NDArray[Any] | Mapping[str, Any] | None,
        Option(
            "Folder or URL of image files, named by id, to measure intensities in; by default the images of SOURCE.",
            metavar="FOLDER",
            group="Images",
        ),
    ] = None
    properties: Annotated[
        Sequence[str],
        Option(
            f"Property to measure, repeatable: {', '.join(PROPERTIES)}. By default "
            f"{', '.join(name for name in DEFAULT_PROPERTIES if not PROPERTIES[name].of_pixels)} and, with images, all "
            "intensities.",
            PROPERTIES,
            ("--property",),
            "NAME",
            group="Output",
        ),
    ] = ()
    pixel_size: Annotated[
        float | None, Option("Side of a pixel, in micrometres; by default from SOURCE.", group="Images")
    ] = None
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    overlap: Overlap = "smaller-on-top"
    only: Only = ()
    jobs: Jobs = -1
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        if unknown := [name for name in self.properties if name not in PROPERTIES]:
            raise UsageError(f"property {unknown[0]!r} is unknown: use one of {', '.join(PROPERTIES)}")
        if self.pixel_size is not None and not 0 < self.pixel_size < float("inf"):
            raise UsageError(f"pixel size {self.pixel_size} is invalid: give a number of micrometres above 0")
        check_jobs(self.jobs)

    @property
    def chosen(self) -> tuple[str, ...]:
        """The properties to measure."""
        return tuple(dict.fromkeys(self.properties or DEFAULT_PROPERTIES))

    @property
    def needs_images(self) -> bool:
        """True if intensities are requested by name."""
        return any(PROPERTIES[name].of_pixels for name in self.properties)
