"""Files that belong together by the names of their folders: images and their masks."""

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cellprep.formats.images import IMAGE_FORMATS, LABEL_FORMATS, is_image_name
from cellprep.formats.layouts.listing import walk
from cellprep.formats.names import (
    TYPES_END,
    is_by_product,
    is_image_folder,
    is_mask_folder,
    is_output,
    outlined_image,
    tracked_sequence,
    without_image_end,
    without_mask_end,
    without_mask_start,
)
from cellprep.store.image_ids import composed
from cellprep.system.files import Folder, open_file

#: Names of the folders on the way to a group.
Parts = tuple[str, ...]

_RESULTS = re.compile(r"\d\d+_RES", re.IGNORECASE)  # results in the Cell Tracking Challenge


@dataclass
class Group:
    """Files of a folder of a data set, or of two parallel folders.

    Attributes
    ----------
    parts
        Names of the folders on the way to it, without those that mark images or masks.
    masks
        Files in folders of masks.
    mask_folders
        Names of all entries of each of these folders, which may be empty.
    images
        Files in folders of images.
    image_folders
        Folders of images.
    others
        Label and image files in a folder without a meaningful name.
    strangers
        Other files in such a folder.
    unreadable
        Files in folders of masks that cannot be label images.
    pickles
        Cellpose's ``_seg.npy`` files, which may run code when they are unpickled.
    outlines
        Cellpose's ``_cp_outlines.txt``.
    types
        Tables of the classes of labels, next to label images.
    """

    parts: Parts
    masks: list[Path] = field(default_factory=list)
    mask_folders: dict[Path, list[str]] = field(default_factory=dict)
    images: list[Path] = field(default_factory=list)
    image_folders: list[Path] = field(default_factory=list)
    others: list[Path] = field(default_factory=list)
    strangers: list[Path] = field(default_factory=list)
    unreadable: list[Path] = field(default_factory=list)
    pickles: list[Path] = field(default_factory=list)
    outlines: list[Path] = field(default_factory=list)
    types: list[Path] = field(default_factory=list)

    @property
    def name(self) -> str:
        """Path of the folder relative to the first one; a dot for the first one itself."""
        return "/".join(self.parts) or "."

    @property
    def has_masks(self) -> bool:
        """True if names mark some files as masks."""
        return bool(self.masks or self._marked())

    def split(self) -> tuple[list[Path], list[Path]]:
        """Return its masks and its images; all files are images if none are marked as masks."""
        marked = self._marked()
        known = set(marked)
        images = [file for file in [*self.images, *self.others] if file not in known]
        return [*self.masks, *marked], images_among(images)

    def pairs(self) -> list["Pair"]:
        """Return its masks and images with their partners."""
        return pair_up(*self.split())

    def _marked(self) -> list[Path]:
        """Return the files marked as masks by their own names; in folders of images only those with an image."""
        marked = list(marked_among(self.others, self.images))
        if self.masks:
            return marked
        names = _by_name(composed(file.stem) for file in self.images)
        return marked + [file for file, name in marked_among(self.images).items() if name in names]


@dataclass
class Pair:
    """An image and its masks; there should be exactly one of each.

    Attributes
    ----------
    id
        Name within the group; empty if names only say that they are an image and a mask.
    masks
        Files that are its masks by name.
    images
        Files that are the image by name.
    """

    id: str
    masks: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)


def images_among(files: Iterable[Path]) -> list[Path]:
    """Return the files that may be images."""
    return [file for file in files if is_image_name(file.name)]


def labels_among(files: Iterable[Path]) -> list[Path]:
    """Return the files that may be label images."""
    return [file for file in files if file.suffix.lower() in LABEL_FORMATS]


def marked_among(files: Iterable[Path], beside: Iterable[Path] = ()) -> dict[Path, str]:
    """Return the files marked as masks by their own names, with the composed names of their images.

    A suffix is sufficient. A prefix counts only if the image exists, among these files or those in `beside`, and has no
    mask of its own: ``label_free_1`` with ``label_free_1_masks`` is an image.
    """
    files = list(files)
    marked = {file: composed(name) for file in files if (name := without_mask_end(file.stem)) is not None}
    images = _by_name(composed(file.stem) for file in [*files, *beside] if file not in marked)
    owners = set(marked.values())
    for file in files:
        name = without_mask_start(file.stem)
        if name is not None and file not in marked and composed(name) in images and composed(file.stem) not in owners:
            marked[file] = composed(name)
    return marked


@dataclass
class Scan:
    """Contents of a folder and its subfolders.

    Attributes
    ----------
    names
        Names of all entries of the folder itself.
    groups
        Files by the folder names that lead to their group; the folder itself is always included.
    left_out
        Folders of files that are neither images nor masks.
    empty
        Empty folders of masks that belong to no image.
    zarr
        Folders that are Zarr groups or arrays.
    choices
        Remarks about the selected truth of sequences of the Cell Tracking Challenge.
    """

    names: list[str]
    groups: dict[Parts, Group] = field(default_factory=lambda: {(): Group(())})
    left_out: list[str] = field(default_factory=list)
    empty: list[str] = field(default_factory=list)
    zarr: list[Path] = field(default_factory=list)
    choices: list[str] = field(default_factory=list)


def scan(folder: Path, deepest: int | None = None) -> Scan:
    """Group the files in a folder and its subfolders, down to the level `deepest`.

    For a sequence of the Cell Tracking Challenge, ``01_GT/SEG`` has the masks of ``01``, or ``01_ST/SEG`` if there is
    no gold truth. Files for trackers, and results, are omitted.

    Raises
    ------
    SourceError
        If a folder cannot be read.
    """
    walked = walk(folder, deepest)
    found = Scan([*walked[0].files, *walked[0].folders])
    truths: dict[Parts, set[str]] = defaultdict(set)
    for one in walked:
        if one.files and is_tracked_truth(one.parts):
            sequence, kind = tracked_sequence(one.parts[-2])
            truths[(*one.parts[:-2], sequence)].add(kind)
    for one in walked:
        role, key = _role(one.parts, truths)
        if one.is_zarr and one.parts:
            found.zarr.append(one.path)
        elif role == "none":
            found.left_out += ["/".join(one.parts)] if one.files else []
        elif role == "masks" and not one.files and one.parts[:-1] != key:
            found.empty += ["/".join(one.parts)] if not one.folders else []
        elif role != "silver" and (one.files or role):
            _add(found.groups.setdefault(key, Group(key)), one, role)
    for (*above, name), kinds in truths.items():
        place = "/".join([*above, name])
        aside = f", not of {place}_ST/SEG" if len(kinds) > 1 else ""
        found.choices += [f"{place} has the masks of {place}_{min(kinds)}/SEG{aside}"] if "ST" in kinds else []
    return found


def _add(group: Group, folder: Folder, role: str) -> None:
    files = [folder.path / name for name in folder.files]
    pickles = {file for file in files if is_pickled(file)}
    group.pickles += sorted(pickles)
    group.outlines += [file for file in files if outlined_image(file.name)]
    tables = {file for file in files if file.name.lower().endswith(TYPES_END)}
    group.types += sorted(tables)
    files = [file for file in files if file not in pickles | tables and not is_by_product(file.stem)]
    if role == "masks":
        masks = labels_among(files)
        readable = set(masks)
        group.masks += masks
        group.unreadable += [file for file in files if file not in readable]
        group.mask_folders[folder.path] = sorted([*folder.files, *folder.folders])
    elif role == "images":
        group.images += files
        group.image_folders.append(folder.path)
    else:
        for file in files:
            is_known = file.suffix.lower() in {*IMAGE_FORMATS, *LABEL_FORMATS}
            (group.others if is_known else group.strangers).append(file)


def _role(parts: Parts, truths: dict[Parts, set[str]]) -> tuple[str, Parts]:
    """Return the role of a folder by its name and those above, and the group of its files."""
    for place, name in enumerate(parts):
        sequence, kind = tracked_sequence(name)
        if sequence:
            key = (*parts[:place], sequence)
            if not is_tracked_truth(parts):
                return "none", key
            return "masks" if kind == min(truths.get(key, ()), default="") else "silver", key
        if _RESULTS.fullmatch(name) or is_output(name):
            return "none", parts
    roles = ["masks" if is_mask_folder(name) else "images" if is_image_folder(name) else "" for name in parts]
    last = next((role for role in reversed(roles) if role), "")
    return last, tuple(name for name, role in zip(parts, roles, strict=True) if not role)


def is_tracked_truth(parts: Parts) -> bool:
    """Return whether names lead to a folder of label images in the Cell Tracking Challenge's layout."""
    return len(parts) > 1 and parts[-1].upper() == "SEG" and bool(tracked_sequence(parts[-2])[0])


def is_pickled(file: Path) -> bool:
    """Return whether a file is Cellpose's pickle, and not a plain array with such a name."""
    if not file.name.lower().endswith("_seg.npy"):
        return False
    try:
        with open_file(file) as stream:
            head = stream.read(256)
    except OSError:
        return True
    return not head.startswith(b"\x93NUMPY") or b"|O" in head


def pair_up(masks: Iterable[Path], images: Iterable[Path]) -> list[Pair]:
    """Pair masks and images, sorted by id: all of them, including those without a partner.

    A mask belongs to the image with the same name, otherwise to the image with the mask's name without its mark,
    otherwise to the image whose name without its mark is the same. A mask with no other name belongs to the only image
    in its folder. Names are compared after Unicode composition.

    Examples
    --------
    >>> for pair in pair_up([Path("a_masks.png"), Path("b.tif")], [Path("a_img.png"), Path("c.png")]):
    ...     print(pair.id, *pair.masks, *pair.images)
    a a_masks.png a_img.png
    b b.tif
    c c.png
    """
    pairs: dict[str, Pair] = {}
    for image in images:
        stem = composed(image.stem)
        pairs.setdefault(stem, Pair(stem)).images.append(image)
    names = _by_name(pairs)
    alone: dict[str, Pair] = {}
    for mask in masks:
        stem = composed(mask.stem)
        name = composed(stem if (end := without_mask_end(mask.stem)) is None else end)
        if end is None and stem not in names and composed(without_mask_start(mask.stem) or "") in names:
            name = composed(without_mask_start(mask.stem) or "")
        stems = names.get(stem) or names.get(name) or ([] if name else _only_one(pairs.values(), mask.parent))
        pair = pairs[stems[0]] if stems else alone.setdefault(name, Pair(name))
        for other in stems[1:]:  # it is unknown which of several images of one name it belongs to
            pair.images += pairs.pop(other).images if other in pairs else []
        pair.masks.append(mask)
        if stems and names.get(name) == stems and stems != [name]:
            pair.id = name  # the shared name
    return sorted([*pairs.values(), *alone.values()], key=lambda pair: pair.id)


def _only_one(pairs: Iterable[Pair], folder: Path) -> list[str]:
    """Return the name of the only image in a folder; empty if there are none, or several."""
    inside = [image for pair in pairs for image in pair.images if image.parent == folder]
    return [composed(inside[0].stem)] if len(inside) == 1 else []


def _by_name(stems: Iterable[str]) -> dict[str, list[str]]:
    """Return the stems by each name that refers to them: themselves, and themselves without an image mark."""
    own = {stem: [stem] for stem in stems}
    short: dict[str, list[str]] = defaultdict(list)
    for stem in own:
        if (name := without_image_end(stem)) is not None:
            short[name].append(stem)
    return {**short, **own}
