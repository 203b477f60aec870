"""Tasks for workers that build images, and the outcomes that they return."""

from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from cellprep.commands.build_targets.pixels import Lacking
from cellprep.core.targets import Recipe
from cellprep.formats.annotations.partial import Ignored
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.images.pixel_size import Sides
from cellprep.store.metadata import ImageMetadata


@dataclass(frozen=True, slots=True)
class ImageTask:
    """One image to build: small enough to send to another process.

    Attributes
    ----------
    record
        The image, as its reader describes it.
    recipe
        How to make its targets.
    pixel_size
        Side of a pixel in micrometres, if known.
    store
        The store's folder.
    overwrite
        Whether to build it even if the store has an identical one.
    workspace
        The folder to write it to, under its id.
    threads
        Number of threads, if it is huge.
    quiet
        Whether to hide the progress bar that a huge image has.
    store_pixels
        Whether to store its pixels, if it has any. Otherwise they only provide the size if it is unknown.
    must_have_pixels
        Whether it fails if its image file is damaged; otherwise it is built without pixels.
    lacking
        Why it has no pixels although there is a folder of images.
    """

    record: ImageRecord | FaultyImage
    recipe: Recipe
    pixel_size: float | None
    store: Path
    overwrite: bool
    workspace: Path
    threads: int = 1
    quiet: bool = True
    store_pixels: bool = True
    must_have_pixels: bool = True
    lacking: Lacking | None = None


class Status(StrEnum):
    """The status of an image that did not fail."""

    BUILT = "built"
    CURRENT = "current"


@dataclass(frozen=True, slots=True)
class ImageOutcome:
    """The outcome for one image that did not fail, as a worker sends it back.

    Attributes
    ----------
    image_id
        The image.
    status
        Built and waiting in the workspace, or up to date and unchanged.
    cells
        Number of its cells.
    hidden
        Source rows of the cells that others cover completely.
    blank
        Source rows of the cells whose masks have no pixels.
    turned
        Whether its Orientation tag was applied or ignored; an empty string if the tag does not rotate or flip it.
    has_nan
        Whether some of its pixels are NaN or infinite.
    touching
        Number of runs that touch the previous one, in the given pixel order and in the other one.
    ignored
        How much of it is ignored, if the source marks regions to ignore.
    metadata
        Its metadata in the store.
    lacking
        Why it has no pixels although there is a folder of images.
    had_pixels
        Whether the store had it with pixels before; None if it is new.
    sides
        The sides of a pixel, if its file has them.
    """

    image_id: str
    status: Status
    cells: int = 0
    hidden: tuple[int, ...] = ()
    blank: tuple[int, ...] = ()
    turned: str = ""
    has_nan: bool = False
    touching: tuple[int, int] = (0, 0)
    ignored: Ignored | None = None
    metadata: ImageMetadata | None = None
    lacking: Lacking | None = None
    had_pixels: bool | None = None
    sides: Sides | None = None
