"""What to build, and how to go about it."""

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
    """What to build, and how to go about it.

    Raises
    ------
    UsageError
        If a value is none that it can have.
    """

    images: Annotated[
        ImageChoice,
        Option(
            "Folder or URL of image files, named by id, to store as well; unless given, a folder beside SOURCE that "
            "has them: one of its name, images or train.",
            metavar="FOLDER",
            unset=("--no-images", "Store targets only, no images."),
            group="Images",
        ),
    ] = None
    exclude: Annotated[
        Path | str | Any | None,  # or a data frame
        Option("CSV of annotations (image, row) and images to leave out, as check writes it.", group="Annotations"),
    ] = None
    recipe: Annotated[Recipe, Option("How targets are made; its options are taken by their names, too.")] = field(
        default_factory=Recipe
    )
    only: Only = ()
    pixel_size: Annotated[
        float | None, Option("Side of a pixel, in micrometres; what image files say unless given.", group="Images")
    ] = None
    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    channels: Annotated[
        Literal["collapse", "keep"],
        Option("Whether grey that is stored as RGB becomes one channel or stays three.", group="Images"),
    ] = "collapse"
    rebuild: Annotated[bool, Option("Build current images again, too.", aliases=("--overwrite",), group="Output")] = (
        False
    )
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
                raise UsageError(f"pixel size {self.pixel_size} is not a length above 0, in micrometres")
