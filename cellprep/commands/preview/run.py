"""The preview of a store: which images are drawn, and how."""

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
    """What to draw."""

    images: Annotated[
        Sequence[str],
        Option("Id of an image to draw, repeatable; the first unless given.", flags=("--image",), metavar="ID"),
    ] = ()
    crop: Annotated[
        Crop | None,
        Option("Part to draw, in pixels; vectors are arrows there.", metavar="Y,X,H,W", parse=Crop.parse),
    ] = None
    contact_sheet: Annotated[bool, Option("Draw the outlines in many images: all unless --image names some.")] = False
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
        Number of images that could have been.
    """

    path: Path
    drawn: list[str]
    of: int

    def notes(self) -> list[str]:
        """Return what was drawn, in words."""
        names = f"image {printable(self.drawn[0])}" if len(self.drawn) == 1 else count(len(self.drawn), "image")
        left_out = f" of {self.of:,}" if len(self.drawn) < self.of else ""
        return [f"{self.path}: {names}{left_out}"]

    def errors(self) -> list[str]:
        """Return what failed: nothing, as a picture that fails raises."""
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
        The picture to write, of a kind that Matplotlib knows by its name's end, such as ``.png``.
    options
        What to draw. Of more images than a contact sheet holds, it shows some, evenly spread over the ids in order.
    **keywords
        Fields of `PreviewOptions` by name.

    Returns
    -------
    Preview
        What was drawn.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    UsageError
        If an image is not in the store, or options do not go together.
    StoreError
        If there is no image, or one is damaged.
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
            f"{len(options.images)} images with all their targets are no picture: give {_MOST_IMAGES} at most, "
            "or --contact-sheet"
        )
    return ids if options.images else ids[:1]


def _image(store: Store, image_id: str) -> StoredImage:
    image = store.get(image_id)
    if image is None:
        raise UsageError(f"image {image_id!r} is not in {store.path}")
    return image
