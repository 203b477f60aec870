"""Layout of a folder of images and masks, shared by annotation readers and prediction."""

from collections import Counter, defaultdict
from collections.abc import Iterable
from functools import cached_property
from pathlib import Path

from cellprep.errors import CellprepError, SourceError
from cellprep.formats.images import LABEL_FORMATS, is_image_name
from cellprep.formats.images.file import ImageFile
from cellprep.formats.layouts.groups import (
    Group,
    Pair,
    Scan,
    images_among,
    is_tracked_truth,
    labels_among,
    pair_up,
    scan,
)
from cellprep.formats.layouts.listing import is_store
from cellprep.formats.names import is_mask_folder, without_image_end, without_mask_end
from cellprep.store.image_ids import composed
from cellprep.text.wording import count, printable

#: Advice if there is only Cellpose's own file.
SAVE_MASKS = "in Cellpose, save masks as PNG or TIFF to get <id>_cp_masks.*"

_NAMED = 3  # names listed in a message
_LOOKED_AT = 3  # masks of a folder that are examined to find out their kind


class Layout:
    """Contents of a folder, which is scanned once, on first use.

    All methods raise SourceError if the folder, or a subfolder, cannot be read.

    Parameters
    ----------
    path
        The folder.
    deepest
        Number of levels of subfolders to scan, if not the default.
    """

    def __init__(self, path: Path, deepest: int | None = None) -> None:
        self.path = path
        self._deepest = deepest

    @cached_property
    def _scan(self) -> Scan:
        return scan(self.path, self._deepest)

    @property
    def groups(self) -> list[Group]:
        """All groups of files."""
        return list(self._scan.groups.values())

    @property
    def names(self) -> list[str]:
        """Names of all entries of the folder itself."""
        return self._scan.names

    @property
    def zarr(self) -> list[Path]:
        """Subfolders that are Zarr groups or arrays, including stores of cellprep."""
        return self._scan.zarr

    @cached_property
    def has_masks(self) -> bool:
        """True if names mark some files as masks."""
        return any(group.has_masks for group in self.groups)

    @property
    def has_labels(self) -> bool:
        """True if there are label images: marked by name, or in a folder with such a name or without images."""
        named = is_mask_folder(self.path.resolve().name)
        alone = self.groups if named else [self._own]
        return self.has_masks or any(labels_among(group.others) for group in alone)

    @cached_property
    def chosen(self) -> list[Group]:
        """The relevant groups; the content of others is unknown."""
        if self.has_masks:
            return [group for group in self.groups if group.has_masks or group.image_folders or not group.parts]
        if self._own.others or self._own.images:
            return [self._own]
        return [group for group in self.groups if group.others or group.images]

    @cached_property
    def cell_folders(self) -> dict[str, Group]:
        """Groups of images with one file per cell, by id; empty if the folder contains label images."""
        groups = self._groups_of_cells()
        if not self._holds_cells(groups):
            return {}
        names = Counter(composed("".join(group.parts[-1:])) for group in groups)
        found: dict[str, Group] = {}
        for group in groups:
            name = composed("".join(group.parts[-1:]))
            name = composed("_".join(group.parts)) if names[name] > 1 else name
            other = found.setdefault(name or composed(self.path.resolve().name), group)
            if other is not group:
                raise SourceError(f"{self.path}: {other.name} and {group.name} have the same id {name}: rename one")
        return found

    def _groups_of_cells(self) -> list[Group]:
        """Return groups that may be images of cells; those without cells have siblings with them, or an image."""
        groups = [group for group in self.groups if group.mask_folders]
        known = {id(group) for group in groups if group.image_folders or any(group.mask_folders.values())}
        places = {(*group.parts[:-1], "") for group in groups if group.parts and id(group) in known}
        return [group for group in groups if id(group) in known or (*group.parts[:-1], "") in places]

    def _holds_cells(self, groups: list[Group]) -> bool:
        """Return whether masks are of single cells, by name if possible, otherwise by content."""
        if self.has_masks and not any(group.masks for group in groups):
            return False  # only names of files mark the masks
        kinds = [_kind(group) for group in groups]
        if "cells" in kinds or "labels" in kinds:
            return "cells" in kinds
        by_kind: dict[str, list[Group]] = defaultdict(list)
        for group, kind in zip(groups, kinds, strict=True):
            by_kind[kind].append(group)
        pairs, alone = ([_has_label_image(group) for group in by_kind[kind][:_LOOKED_AT]] for kind in ("pair", "alone"))
        if any(pairs) or (alone and all(alone)):
            return False
        return any(group.parts for group in groups)

    def files(self, ends: tuple[str, ...]) -> list[Path]:
        """Return the files with the given extensions, sorted by folder and name."""
        everything = [file for group in self.groups for file in _others_in(group)]
        return [file for file in everything if file.name.lower().endswith(ends)]

    def drawn_pairs(self, files: Iterable[Path], ends: tuple[str, ...]) -> list[tuple[Group, Pair]]:
        """Return all pairs of images and annotation files, which have the same names except for their extensions.

        Parameters
        ----------
        files
            The annotation files, as returned by `files`; they take the place of masks in a pair.
        ends
            Their possible extensions.
        """
        wanted, pairs = set(files), []
        for group in self.groups:
            own = [file for file in _others_in(group) if file in wanted]
            images = images_among([*group.images, *group.others])
            by_name: dict[Path, list[Path]] = defaultdict(list)
            for file in own:
                by_name[file.with_name(f"{annotated_stem(file.name, ends)}.x")].append(file)
            found = pair_up(by_name, images)
            for pair in found:
                pair.masks = [file for name in pair.masks for file in by_name[name]]
            pairs += [(group, pair) for pair in found]
        return _joined(pairs)

    def pairs(self) -> list[tuple[Group, Pair]]:
        """Return all pairs of masks and images, including those without a partner."""
        return _joined([(group, pair) for group in self.chosen for pair in self._pairs_of(group)])

    def _pairs_of(self, group: Group) -> list[Pair]:
        if not self.has_masks:
            return pair_up(labels_among(group.others), images_among(group.images))
        pairs = group.pairs()
        named = is_mask_folder(self.path.resolve().name)
        if named and not group.images and not any(pair.masks and pair.images for pair in pairs):
            return pair_up([*group.masks, *labels_among(group.others)], [])  # by the name of the folder itself
        return pairs

    def ids(self, pairs: list[tuple[Group, Pair]]) -> list[str]:
        """Return the id of each pair; if several folders have the same id, the folders' names are prepended.

        The id of a pair without a name, such as ``<id>/image.png`` and ``<id>/mask.png``, is the name of the folder, as
        is that of a single ``<id>/image.png``.
        """
        alone = Counter(id(group) for group, _ in pairs)
        own = [
            "" if group.parts and alone[id(group)] == 1 and without_image_end(pair.id) == "" else pair.id
            for group, pair in pairs
        ]
        names = Counter(own)
        return [
            composed("_".join(filter(None, [*group.parts, name])) or self.path.resolve().name)
            if names[name] > 1 or not name
            else name
            for (group, _), name in zip(pairs, own, strict=True)
        ]

    def image_pairs(self) -> list[tuple[Group, Pair]]:
        """Return all pairs for a search of images: without marked masks, every file is an image.

        As an exception, files of the folder itself are masks of the files with the same names in its subfolder of
        images.
        """
        if self.has_masks or not self._own.images:
            return _joined([(group, pair) for group in self.chosen for pair in group.pairs()])
        below = {composed(file.stem) for file in self._own.images}
        masks = [file for file in self._own.others if composed(file.stem) in below]
        known = set(masks)
        others = [file for file in self._own.others if file not in known]
        return [(self._own, pair) for pair in pair_up(masks, images_among([*self._own.images, *others]))]

    def aside(self) -> list[str]:
        """Return notes about files and folders that are skipped because they are neither images nor masks."""
        ids = {id(group) for group in self.chosen}
        cells = self.cell_folders
        names = [group.name for group in self.groups if id(group) not in ids and group.others] + self._scan.left_out
        if cells:
            names += self._names(file for group in self.groups if id(group) in ids for file in group.others)
            names += self._names(file for group in cells.values() for file in _second_images(group))
        names += [f"{name} (Zarr)" for name in self._names(path for path in self.zarr if not is_store(path))]
        strangers = self._names(file for group in self.groups for file in group.strangers)
        counted = set(map(id, self._groups_of_cells()))
        empty = [folder for group in self.groups if id(group) not in counted for folder in group.mask_folders]
        return [
            *_note("skipped, as neither images nor masks by name", names),
            *_note("skipped, as their format is not supported", strangers),
            *_note("skipped, as empty", [*self._scan.empty, *self._names(empty)]),
            *_note("Cell Tracking Challenge", self._scan.choices),
        ]

    def notes(self) -> list[str]:
        """Return notes about skipped files, with the reason."""
        notes = self.aside()
        if unreadable := self._unreadable():
            notes.append(f"note: skipped, as not label images: {listed(unreadable)} ({', '.join(LABEL_FORMATS)})")
        pickles = [str(file) for group in self.chosen for file in self._without_masks(group)]
        return [*notes, f"note: the only masks are Cellpose's {listed(pickles)}: {SAVE_MASKS}"] if pickles else notes

    def problem(self) -> str:
        """Return why there are no label images, with a remedy; an empty string if there are some, or it is unknown."""
        if pickles := [] if self.has_masks else [file for group in self.groups for file in group.pickles]:
            return (
                f"{self.path} contains no label images, only Cellpose's {listed([file.name for file in pickles])}: "
                "use --format cellpose-seg"
            )
        if self.has_labels:
            return ""
        if unreadable := self._unreadable():
            return f"{self.path} contains no label image ({', '.join(LABEL_FORMATS)}), but {listed(unreadable)}"
        images = [file for group in self.groups for file in images_among([*group.images, *group.others])]
        if not images:
            return ""
        (where,) = self._names(images[:1])
        return (
            f"{self.path} contains {count(len(images), 'image file')}, such as {printable(where)}, but no masks: "
            "name these <id>_masks.* next to <id>.*, or put them into masks/ next to images/. If masks are "
            "elsewhere, give their folder, and this one as --images"
        )

    def _unreadable(self) -> list[str]:
        return self._names(file for group in self.groups for file in group.unreadable)

    def _names(self, paths: Iterable[Path]) -> list[str]:
        return [path.relative_to(self.path).as_posix() for path in paths]

    @property
    def _own(self) -> Group:
        return self._scan.groups[()]

    def _without_masks(self, group: Group) -> list[Path]:
        known = {pair.id for pair in group.pairs() if pair.masks}
        return [file for file in group.pickles if without_mask_end(file.stem) not in known]


def listed(names: list[str]) -> str:
    """Return the first names on one line, and the number of the rest."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + more


def annotated_stem(name: str, ends: tuple[str, ...]) -> str:
    """Return the name of an image, without extension, from that of its annotation file.

    Examples
    --------
    >>> [annotated_stem(name, (".geojson", ".geojson.gz")) for name in ("a.geojson.gz", "b.ome.tif.geojson")]
    ['a', 'b.ome']
    """
    cut = max((len(end) for end in ends if name.lower().endswith(end)), default=len(Path(name).suffix))
    stem = name[: len(name) - cut] or name
    return Path(stem).stem if is_image_name(stem) else stem


def _others_in(group: Group) -> list[Path]:
    """Return the files of a group that are neither images nor masks by name, or may be more than these."""
    return [*group.strangers, *group.unreadable, *group.images]


def _note(what: str, names: list[str]) -> list[str]:
    return [f"note: {what}: {listed(names)}"] if names else []


def _second_images(group: Group) -> list[Path]:
    """Return the images of a folder of cells that do not have its name."""
    images, own = images_among(group.images), group.parts[-1:]
    return [file for file in images if (composed(file.stem),) != tuple(map(composed, own))] if len(images) > 1 else []


def _joined(pairs: list[tuple[Group, Pair]]) -> list[tuple[Group, Pair]]:
    """Pair masks without an image with those of the same name in other folders, if the name is unique among masks."""
    masks: dict[str, list[tuple[Group, Pair]]] = defaultdict(list)
    images: dict[str, list[tuple[Group, Pair]]] = defaultdict(list)
    for group, pair in pairs:
        if not pair.images:
            masks[pair.id].append((group, pair))
        elif not pair.masks:
            images[pair.id].append((group, pair))
    for name, alone in masks.items():
        if len(alone) == 1:
            (below, mask) = alone[0]
            for group, pair in images[name]:
                # Otherwise it may be the image of another plate.
                if _is_within(group, below) or _is_within(below, group):
                    mask.images += pair.images
                    pair.images = []
    return [(group, pair) for group, pair in pairs if pair.masks or pair.images]


def _is_within(group: Group, other: Group) -> bool:
    return group.parts[: len(other.parts)] == other.parts


def _kind(group: Group) -> str:
    """Return the meaning of mask names: "labels" of images, "cells" of one, a "pair", or "alone" without an image."""
    masks, images = group.masks, images_among(group.images)
    if not masks:
        return ""
    if any(is_tracked_truth(folder.parts) for folder in group.mask_folders):
        return "labels"
    if any(pair.masks and pair.images for pair in pair_up(masks, images)):
        return "labels" if len(masks) > 1 or len(images) > 1 else "pair"
    return "cells" if len(images) == 1 and len(masks) > 1 else "alone"


def _has_label_image(group: Group) -> bool:
    return any(map(_has_several_numbers, group.masks[:_LOOKED_AT]))


def _has_several_numbers(file: Path) -> bool:
    """Return whether a mask has more numbers than that of one cell; False if it cannot be read."""
    try:
        labels = ImageFile(file, "ignore").decode_labels()
    except CellprepError:
        return False
    inside = labels[labels != 0]
    return bool(inside.size and inside.min() != inside.max())
