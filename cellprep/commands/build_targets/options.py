"""Options of building."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from cellprep.commands.build_targets.pixels import ImageChoice
from cellprep.core.targets import Recipe
from cellprep.errors import UsageError
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.system.executor import check_jobs
from cellprep.system.options import Jobs, Only, Option, Quiet, Scheduler, documented, take_values


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class BuildOptions:
    """Options of building: what to build, and how.

    Raises
    ------
    UsageError
        If a value is invalid.
    """

    images: Annotated[
        ImageChoice,
        Option(
            "Folder or URL of image files, named by id, to store as well; by default a folder next to SOURCE "
            "that contains them: one with its name, images or train.",
            metavar="FOLDER",
            unset=("--no-images", "Store only targets, no images."),
            group="Images",
        ),
    ] = None
    exclude: Annotated[
        Path | str | Any | None,  # or a data frame
        Option("CSV of annotations (image, row) and images to leave out, as written by check.", group="Annotations"),
    ] = None
    recipe: Annotated[Recipe, Option("How targets are made; its options may also be given by name.")] = field(
        default_factory=Recipe
    )
    only: Only = ()
    pixel_size: Annotated[
        float | None, Option("Side of a pixel, in micrometres; by default from the image files.", group="Images")
    ] = None
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    channels: Annotated[
        Literal["collapse", "keep"],
        Option("Whether grey images stored as RGB become one channel or keep three.", group="Images"),
    ] = "collapse"
    rebuild: Annotated[
        bool, Option("Build all images again, even if they are up to date.", aliases=("--overwrite",), group="Output")
    ] = False
    prune: Annotated[bool, Option("Remove images that are no longer in SOURCE.", group="Output")] = False
    jobs: Jobs = -1
    scheduler: Scheduler = None
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        check_jobs(self.jobs)
        if self.pixel_size is not None:
            object.__setattr__(self, "pixel_size", float(self.pixel_size))
            if not 0 < self.pixel_size < float("inf"):
                raise UsageError(f"pixel size {self.pixel_size} is invalid: give a number of micrometres above 0")
