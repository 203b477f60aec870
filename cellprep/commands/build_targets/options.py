"""What to build, and how to go about it."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from cellprep.commands.build_targets.pixels import ImageChoice
from cellprep.core.targets import Recipe
from cellprep.errors import UsageError
from cellprep.formats.images.orientation import Orientation, check_orientation
from cellprep.system.executor import check_jobs

#: What becomes of grey that is stored as RGB.
CHANNELS = ("collapse", "keep")


@dataclass(frozen=True, slots=True)
class BuildOptions:
    """What to build, and how to go about it.

    Attributes
    ----------
    recipe
        How targets are made.
    images
        Folder of image files to store beside the targets; an image whose file is missing or faulty fails. False to
        store none. Unless given, those are stored that the source has, or else those of a folder beside it, as
        `cellprep build-targets` finds it; no image fails over these.
    exclude
        CSV of the annotations and images to leave out, as `cellprep check` writes it.
    only
        Ids of the images to build; all of the source unless given.
    pixel_size
        Side of a pixel in micrometres, if known.
    jobs
        Number of processes; -1 for one per core.
    overwrite
        Whether to build images again that are current.
    prune
        Whether to remove images that are no longer in the source.
    orientation
        Whether image files are turned as their Orientation tag (EXIF) says: apply, as viewers do, or ignore. Unless
        given, they are, but where their annotations have the size of the image as it is stored.
    channels
        Whether grey that is stored as RGB becomes one channel (collapse) or stays three (keep).
    quiet
        Whether to show no progress bar.
    scheduler
        Address of a Dask scheduler, whose workers build instead of `jobs` processes.

    Raises
    ------
    UsageError
        If a value is none that it can have.
    """

    recipe: Recipe = field(default_factory=Recipe)
    images: ImageChoice = None
    exclude: Path | str | None = None
    only: tuple[str, ...] = ()
    pixel_size: float | None = None
    jobs: int = -1
    overwrite: bool = False
    prune: bool = False
    orientation: Orientation | None = None
    channels: Literal["collapse", "keep"] = "collapse"
    quiet: bool = False
    scheduler: str | None = None

    def __post_init__(self) -> None:
        if isinstance(self.only, str):
            raise UsageError(f"only={self.only!r} is a text: give a sequence of ids")
        if isinstance(self.images, bool) and self.images:
            raise UsageError("images=True: give a folder, False for no images, or None for those that are found")
        check_jobs(self.jobs)
        check_orientation(self.orientation)
        if self.channels not in CHANNELS:
            raise UsageError(f"channels {self.channels!r} is unknown: it is one of {', '.join(CHANNELS)}")
        if self.pixel_size is not None:
            object.__setattr__(self, "pixel_size", float(self.pixel_size))
            if not 0 < self.pixel_size < float("inf"):
                raise UsageError(f"pixel size {self.pixel_size} is not a length above 0, in micrometres")
