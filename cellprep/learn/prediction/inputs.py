"""The images to predict: images by id from files, folders, globs and stores."""

import re
from collections import defaultdict
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from cellprep.errors import CellprepError, ImageFileError, StoreError
from cellprep.formats.annotations.record import FaultyImage
from cellprep.formats.cellprep_store import CellprepStore, StoredPixels
from cellprep.formats.images import IMAGE_FORMATS
from cellprep.formats.images.file import ImageFile, Pixels, images_of_scenes, may_have_scenes
from cellprep.formats.images.orientation import Orientation
from cellprep.formats.images.planes import StackOptions, with_planes
from cellprep.formats.layouts.groups import Group, images_among, marked_among, pair_up
from cellprep.formats.layouts.layout import Layout, listed
from cellprep.formats.names import is_by_product, is_foreign, is_mask_folder
from cellprep.formats.ome_zarr.finding import ome_zarr_images
from cellprep.formats.ome_zarr.multiscale import OMEZarrPixels, ome_attributes
from cellprep.formats.ome_zarr.reader import zarr_problem
from cellprep.learn.windowed import WindowedArray
from cellprep.store.image_ids import composed, id_problem
from cellprep.system.places import as_place, matches
from cellprep.text.wording import count, printable


@dataclass(frozen=True, slots=True)
class InputImage:
    """An image to predict.

    Attributes
    ----------
    id
        Its name: that of its file without the extension, or that in its store.
    pixels
        Its location; None if it cannot be predicted.
    problem
        The reason why it cannot be predicted.
    """

    id: str
    pixels: Pixels | None
    problem: str = ""

    def read_as(self, orientation: Orientation | None, planes: StackOptions | None = None) -> "InputImage":
        """Set how a file is read: whether its Orientation tag is applied, and which planes of a stack are used.

        Raises
        ------
        UsageError
            If planes are chosen, but the image is in a store.
        """
        pixels = with_planes(self.pixels, planes)
        if isinstance(pixels, ImageFile):
            pixels = replace(pixels, orientation=orientation)
        return replace(self, pixels=pixels)

    @property
    def shrunk(self) -> int:
        """N if its store has it at 1/N of its size."""
        with suppress(StoreError):  # a damaged recipe, which its pixels do not need
            return self.pixels.image.recipe.shrink if isinstance(self.pixels, StoredPixels) else 1
        return 1

    def load(self) -> Any:
        """Return it as (C, H, W): an array, or for a huge image in a store an object that reads only requested parts.

        Raises
        ------
        CellprepError
            If it cannot be predicted or read.
        """
        if self.pixels is None:
            raise CellprepError(self.problem)
        if isinstance(self.pixels, StoredPixels) and self.pixels.image.is_huge:
            return WindowedArray.of_pixels(self.pixels.image)
        pixels = self.pixels.decode()
        return pixels if pixels.ndim == 3 else pixels[None]


@dataclass(frozen=True, slots=True)
class Inputs:
    """The images at some paths or URIs.

    Attributes
    ----------
    images
        The images.
    notes
        Lines that report skipped files, with reasons.
    """

    images: list[InputImage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def find_images(places: Iterable[Path | str], *, of_one_scene: bool = False) -> Inputs:
    """Find images, in the order of the places; within a folder, glob or store, in the order of their names.

    Masks and label images, recognised by their names, are skipped: the images of a data set are predicted, not their
    ground truth. Each scene of a file with several scenes is an image, ``<id>_<scene>``.

    Parameters
    ----------
    places
        Files, folders of files, stores, OME-Zarr images, folders or plates of these, and globs such as
        ``plate-*/*.tif``, where ``**`` matches any folders.
    of_one_scene
        Whether one scene is read from each file, so that each file is one image.

    Raises
    ------
    ImageFileError
        If a place has no image.
    CellprepError
        If a folder or store cannot be read.
    """
    names = list(map(str, places))
    files = {name: path for name in names if (path := as_place(name)).exists() and not path.is_dir()}
    inputs = _of_files(list(files.values()), chosen=True)
    images = {str(image.pixels): image for image in inputs.images}
    found, notes = [], inputs.notes
    for name in names:
        if name in files:
            found += [image] if (image := images.get(str(files[name]))) else []
        else:
            inputs = _find(name)
            found += inputs.images
            notes += inputs.notes
    if not found:
        raise ImageFileError("; ".join(["there is no image to predict", *notes]))
    if not of_one_scene:
        found = [scene for image in found for scene in _scenes_of(image)]
    paths: dict[str, list[str]] = defaultdict(list)
    for image in found:
        if str(image.pixels) not in paths[image.id]:
            paths[image.id].append(str(image.pixels))
    by_id = {image.id: image for image in found}  # the same file may be named twice
    return Inputs([_checked(image, paths[image.id]) for image in by_id.values()], notes)


def _find(place: str) -> Inputs:
    path = as_place(place)
    if path.is_dir():
        if CellprepStore.recognises(path):
            inputs = Inputs(_of_store(path))
        else:
            layout = Layout(path)
            inputs = _of_folder(layout)
            if not inputs.images and (images := ome_zarr_images(path, layout)):
                inputs = Inputs(_of_ome_zarr(images))
        nothing = zarr_problem(path) or f"{printable(place)} contains no image ({', '.join(IMAGE_FORMATS)})"
    else:
        inputs = _of_glob(place)
        nothing = f"there is no image {printable(place)}"
    if not inputs.images:
        raise ImageFileError("; ".join([nothing, *inputs.notes]))
    return inputs


def _of_files(files: list[Path], *, chosen: bool = False) -> Inputs:
    """Return files as images, without the masks of these; masks alone are images only if they were `chosen`."""
    images, masks = [], []
    folders: dict[str, list[Path]] = defaultdict(list)
    for file in files:
        if not is_foreign(file.name):
            folders[str(file.parent)].append(file)
    for inside in folders.values():
        if not chosen and is_mask_folder(inside[0].parent.name):
            masks += inside
            continue
        marked = {*marked_among(inside), *(file for file in inside if is_by_product(file.stem))}
        for pair in pair_up(sorted(marked), [file for file in inside if file not in marked]):
            as_images = pair.images or (pair.masks if chosen else [])
            name = (pair.id or inside[0].resolve().parent.name) if pair.images else ""
            images += [InputImage(name or file.stem, ImageFile(file)) for file in as_images]
            masks += [] if as_images is pair.masks else pair.masks
    return Inputs(images, _left_out(masks))


def _of_glob(pattern: str) -> Inputs:
    """Return files as images, with their ids relative to the folder before the first wildcard."""
    inputs = _of_files(matches(pattern))
    if not inputs.images:
        return inputs
    fixed = pattern[: re.search(r"[*?[]|$", pattern).start()].rpartition("/")  # type: ignore[union-attr]
    levels = pattern.count("/", len(fixed[0]) + 1)
    try:
        folder = _of_folder(Layout(as_place("".join(fixed[:2]) or "."), None if "**" in pattern else levels + 1))
    except CellprepError:  # an unreadable folder that was not named explicitly
        return inputs
    ids = {str(image.pixels): image.id for image in folder.images}
    images = [InputImage(ids.get(str(image.pixels), image.id), image.pixels) for image in inputs.images]
    return Inputs(images, inputs.notes)


def _of_folder(layout: Layout) -> Inputs:
    """Return the images of a folder, with the ids that readers of annotations use."""
    path = layout.path
    notes = layout.aside()
    if cells := layout.cell_folders:
        names = {group.name: image_id for image_id, group in cells.items()}
        found = [
            (names.get(group.name, "_".join(group.parts)), file)
            for group in layout.groups
            for file in _of_one_image(group)
        ]
    else:
        pairs = layout.image_pairs()
        found = [(name, file) for name, (_, pair) in zip(layout.ids(pairs), pairs, strict=True) for file in pair.images]
        notes = [*_left_out([file for _, pair in pairs for file in pair.masks]), *notes]
    if is_mask_folder(path.resolve().name) and any(file.parent == path for _, file in found):
        notes.append(f"note: {path} is named like a folder of masks; its files are read as images")
    return Inputs([InputImage(image_id, ImageFile(file)) for image_id, file in sorted(found)], notes)


def _of_one_image(group: Group) -> list[Path]:
    """Return the image in the folder of an image: the one with the folder's name, if there are several."""
    files = images_among(group.images)
    return (
        files
        if len(files) == 1
        else [file for file in files if (composed(file.stem),) == tuple(map(composed, group.parts[-1:]))]
    )


def _left_out(masks: list[Path]) -> list[str]:
    if not masks:
        return []
    names = listed([str(file) for file in masks])
    files = count(len(masks), "file")
    return [f"note: skipped {files} named like masks: {names}; to predict one, give the file itself"]


def _scenes_of(image: InputImage) -> list[InputImage]:
    """Return the scenes of a file as images if it has several; an unreadable file stays one image, and fails later."""
    if isinstance(image.pixels, ImageFile) and may_have_scenes(image.pixels.path):
        with suppress(ImageFileError):
            if scenes := images_of_scenes(image.pixels):
                return [InputImage(image_id, scene) for image_id, scene in scenes.items()]
    return [image]


def _of_ome_zarr(found: dict[str, list[Path]]) -> list[InputImage]:
    return [
        InputImage(image_id, OMEZarrPixels(path, StackOptions()))
        if "multiscales" in ome_attributes(path)
        else InputImage(image_id, None, f"{path} has label images, but no image")
        for image_id, paths in found.items()
        for path in paths
    ]


def _of_store(path: Path) -> list[InputImage]:
    return [
        InputImage(record.image_id, None, record.problem)
        if isinstance(record, FaultyImage)
        else InputImage(record.image_id, record.pixels, "" if record.pixels else "the store has no pixels of it")
        for record in CellprepStore(path).images()
    ]


def _checked(image: InputImage, paths: list[str]) -> InputImage:
    problem = image.problem or id_problem(image.id) or ""
    if len(paths) > 1:
        problem = f"several images have this id: {', '.join(paths)}; predict them separately"
    return InputImage(image.id, None, problem) if problem else image
