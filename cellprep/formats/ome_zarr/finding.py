"""OME-Zarr images by id: those of plates, of files converted by bioformats2raw, and of folders."""

from collections import defaultdict
from collections.abc import Iterable
from pathlib import Path

from cellprep.formats.layouts.layout import Layout
from cellprep.formats.layouts.listing import is_store
from cellprep.formats.ome_zarr.multiscale import label_names, ome_attributes, paths_in
from cellprep.system.places import entries_in

_DEEPEST = 2  # levels between a group and its images
_CONVERTED = "bioformats2raw.layout"  # attribute of a group with one image per series of a file


def ome_zarr_images(path: Path, layout: Layout | None = None) -> dict[str, list[Path]]:
    """Return OME-Zarr images by id: the one at a path, or those of a plate, a file, or a folder with subfolders.

    The folder's `layout` is scanned by default.
    """
    path = path.resolve()
    if is_image(path):
        return {_image_id(path.parent.parent if is_label_image(path) else path): [path]}
    if found := _fields(path) or _series(path):
        return _by_id(found)
    groups = [zarr.resolve() for zarr in (layout or Layout(path)).zarr]
    images = [image for group in groups for image in _images_of(group, _DEEPEST)]
    plates = {plate for plate, *_ in images if plate}
    return _by_id((f"{plate}_{name}" if plate and len(plates) > 1 else name, image) for plate, name, image in images)


def is_image(folder: Path) -> bool:
    """Return whether a folder is an OME-Zarr image, or has label images of one."""
    return "multiscales" in ome_attributes(folder) or bool(label_names(folder))


def is_label_image(folder: Path) -> bool:
    """Return whether a folder is a label image of an image."""
    return folder.parent.name == "labels" and folder.name in label_names(folder.parent.parent)


def is_collection(folder: Path) -> bool:
    """Return whether a folder is a plate, or a file converted by bioformats2raw."""
    return bool(_fields(folder) or _series(folder))


def _by_id(images: Iterable[tuple[str, Path]]) -> dict[str, list[Path]]:
    found: dict[str, list[Path]] = defaultdict(list)
    for image_id, image in images:
        found[image_id].append(image)
    return dict(sorted(found.items()))


def _images_of(group: Path, deepest: int) -> list[tuple[str, str, Path]]:
    """Return a group's images, each with its plate's name, if any, and its own; cellprep's stores are skipped."""
    image = group.parent if group.name == "labels" else group
    if is_store(group):
        return []
    if is_image(image):
        return [] if is_label_image(image) else [("", _image_id(image), image)]
    if fields := _fields(group):
        return [(_image_id(group), name, field) for name, field in fields]
    if series := _series(group):
        return [("", name, one) for name, one in series]
    below = [group / name for name, is_folder in sorted(entries_in(group).items()) if is_folder and deepest]
    return [image for one in below for image in _images_of(one, deepest - 1)]


def _fields(plate: Path) -> list[tuple[str, Path]]:
    """Return the images of a plate with their names; empty if it is not a plate."""
    return [
        ("_".join(Path(well, name).parts), plate / well / name)
        for well in paths_in(plate, "plate", "wells")
        for name in paths_in(plate / well, "well", "images")
    ]


def _series(group: Path) -> list[tuple[str, Path]]:
    """Return the images of a file converted by bioformats2raw, with their names; empty if it is not one.

    Each series has a folder, numbered unless ``OME`` lists the folders.
    """
    if _CONVERTED not in ome_attributes(group):
        return []
    told = ome_attributes(group / "OME").get("series")
    named = [one for one in told if isinstance(one, str) and one] if isinstance(told, list) else []
    inside = [name for name, is_folder in entries_in(group).items() if is_folder and name.isdecimal()]
    names = [one for one in named if not {"..", "/"} & set(Path(one).parts)] or sorted(inside, key=int)
    own = _image_id(group)
    return [("_".join([own, *Path(name).parts]) if len(names) > 1 else own, group / name) for name in names]


def _image_id(image: Path) -> str:
    return image.name.removesuffix(".zarr").removesuffix(".ome")
