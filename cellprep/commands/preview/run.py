"""Preview of a store: the choice of images, and how to draw them."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

from cellprep.commands.preview.picture import draw_targets
from cellprep.commands.preview.sheet import MOST_TILES, draw_contact_sheet
from cellprep.commands.preview.view import Crop
from cellprep.errors import StoreError, UsageError
from cellprep.store import Store, StoredImage, StoreLike, as_store
from cellprep.system.options import Option, Quiet, documented, options_of, take_values, takes
from cellprep.system.places import local_path
from cellprep.text.wording import count, printable

_MOST_IMAGES = 12  # with all their targets in one picture


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class PreviewOptions:
    """The choice of what to draw."""

    images: Annotated[
        Sequence[str],
        Option("Id of an image to draw, repeatable; by default the first image.", flags=("--image",), metavar="ID"),
    ] = ()
    crop: Annotated[
        Crop | None,
        Option("Part to draw, in pixels; vectors are drawn as arrows.", metavar="Y,X,H,W", parse=Crop.parse),
    ] = None
    contact_sheet: Annotated[bool, Option("Draw only outlines, in many images; by default in all.")] = False
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)


@dataclass(frozen=True, slots=True)
class Preview:
    """The outcome of drawing.

    Attributes
    ----------
    path
        The picture.
    drawn
        Ids of the images in it.
    of
        Number of images in the store.
    """

    path: Path
    drawn: list[str]
    of: int

    def notes(self) -> list[str]:
        """Return a line on what was drawn."""
        names = f"image {printable(self.drawn[0])}" if len(self.drawn) == 1 else count(len(self.drawn), "image")
        left_out = f" of {self.of:,}" if len(self.drawn) < self.of else ""
        return [f"{self.path}: {names}{left_out}"]

    def errors(self) -> list[str]:
        """Return an empty list, as failures are raised."""
        return []


@takes(PreviewOptions)
def preview_store(
    store: StoreLike, path: Path | str, options: PreviewOptions | None = None, **keywords: Any
) -> Preview:
    """Draw images of a store.

    Parameters
    ----------
    store
        A store, or its path.
    path
        The picture to write; its extension, such as ``.png``, is a format that Matplotlib writes.
    options
        What to draw. If there are too many images for a contact sheet, it shows some, evenly spaced in their order.
    **keywords
        Fields of `PreviewOptions` by name.

    Returns
    -------
    Preview
        The images drawn.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    UsageError
        If an image is not in the store, or options contradict each other.
    StoreError
        If the store has no images, or an image is damaged.
    OutputError
        If the picture cannot be written.
    """
    path = local_path(path, "path")
    store, options = as_store(store), options_of(PreviewOptions, options, keywords)
    if options.contact_sheet and options.crop:
        raise UsageError("a contact sheet shows whole images: leave out --crop or --contact-sheet")
    ids = list(options.images) or list(store)
    if not ids:
        raise StoreError(f"{store.path} has no images")
    drawn = _choose(ids, options)
    images = [_image(store, image_id) for image_id in drawn]
    if options.contact_sheet:
        draw_contact_sheet(images, path, quiet=options.quiet)
    else:
        draw_targets(images, path, options.crop)
    return Preview(path, drawn, len(ids))


def _choose(ids: list[str], options: PreviewOptions) -> list[str]:
    if options.contact_sheet:
        tiles = min(len(ids), MOST_TILES)
        return [ids[place * len(ids) // tiles] for place in range(tiles)]
    if len(options.images) > _MOST_IMAGES:
        raise UsageError(
            f"{len(options.images)} images with all their targets are too many for a picture: "
            f"give at most {_MOST_IMAGES}, or --contact-sheet"
        )
    return ids if options.images else ids[:1]


def _image(store: Store, image_id: str) -> StoredImage:
    image = store.get(image_id)
    if image is None:
        raise UsageError(f"image {image_id!r} is not in {store.path}")
    return image
