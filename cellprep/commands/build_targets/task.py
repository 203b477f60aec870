"""Tasks that go to a worker that builds an image, and outcomes that come back."""

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
        What its reader says of it.
    recipe
        How its targets are made.
    pixel_size
        Side of a pixel in micrometres, if known.
    store
        The store's folder.
    overwrite
        Whether to build it even if the store has it as it would be.
    workspace
        The folder to write it to, under its id.
    threads
        How many make it if it is huge.
    quiet
        Whether to show no progress bar of it if it is huge.
    store_pixels
        Whether its pixels are stored, if it has any; if not, they still tell the size of an image of which nothing
        else does.
    must_have_pixels
        Whether it fails if its image file is faulty; it is built without pixels otherwise.
    lacking
        Why it has no pixels, though there is a folder of images.
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
        Built and waiting in the workspace, or current and left alone.
    cells
        Number of its cells.
    hidden
        Source rows of the cells that others cover entirely.
    blank
        Source rows of the cells that have no pixel at all.
    turned
        What became of an image that its Orientation tag says to turn: applied or ignored; empty text for others.
    has_nan
        Whether some of its pixels are NaN or infinite.
    touching
        How many of these touch the one before, in the order given and in the other.
    ignored
        How much of it is ignored, if something was to be.
    metadata
        What the store says of it.
    lacking
        Why it has no pixels, though there is a folder of images.
    had_pixels
        Whether the store had it with pixels before; None if it did not have it.
    sides
        The sides of a pixel that its file tells, if it does.
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
