"""The layout of a folder of images and masks: one for the readers of annotations and for prediction alike."""

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

#: What helps where there is nothing but Cellpose's own file.
SAVE_MASKS = "in Cellpose, save masks as PNG or TIFF, which writes <id>_cp_masks.*"

_NAMED = 3  # in a line
_LOOKED_AT = 3  # masks of a folder that tell what kind they are


class Layout:
    """The contents of a folder, which is scanned once, when it is first asked for.

    Each question raises SourceError if the folder, or one in it, cannot be read.

    Parameters
    ----------
    path
        The folder.
    deepest
        How many folders below it are scanned, one in the other, if not as many as usual.
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
        """The names of all that is in the folder itself."""
        return self._scan.names

    @property
    def zarr(self) -> list[Path]:
        """The folders below it that are Zarr, stores of cellprep among them."""
        return self._scan.zarr

    @cached_property
    def has_masks(self) -> bool:
        """Whether names say of some files that they are masks."""
        return any(group.has_masks for group in self.groups)

    @property
    def has_labels(self) -> bool:
        """Whether there are label images: if no name says so, files in the folder itself, or it has such a name."""
        named = is_mask_folder(self.path.resolve().name)
        alone = self.groups if named else [self._own]
        return self.has_masks or any(labels_among(group.others) for group in alone)

    @cached_property
    def chosen(self) -> list[Group]:
        """The groups that count; of others nothing says what they hold."""
        if self.has_masks:
            return [group for group in self.groups if group.has_masks or group.image_folders or not group.parts]
        if self._own.others or self._own.images:
            return [self._own]
        return [group for group in self.groups if group.others or group.images]

    @cached_property
    def cell_folders(self) -> dict[str, Group]:
        """The groups of images with one file per cell, by id; none if the folder holds label images."""
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
        """Return the groups that may be images of cells; one without any lies beside others, or has its own image."""
        groups = [group for group in self.groups if group.mask_folders]
        known = {id(group) for group in groups if group.image_folders or any(group.mask_folders.values())}
        places = {(*group.parts[:-1], "") for group in groups if group.parts and id(group) in known}
        return [group for group in groups if id(group) in known or (*group.parts[:-1], "") in places]

    def _holds_cells(self, groups: list[Group]) -> bool:
        """Return whether masks are of one cell each: by names where these say it, and else by content."""
        if self.has_masks and not any(group.masks for group in groups):
            return False  # names of files alone say that there are masks
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
        """Return the files whose names end so, in the order of folders and names."""
        everything = [file for group in self.groups for file in _others_in(group)]
        return [file for file in everything if file.name.lower().endswith(ends)]

    def drawn_pairs(self, files: Iterable[Path], ends: tuple[str, ...]) -> list[tuple[Group, Pair]]:
        """Return all pairs of images and files of annotations, which are called as their images but for their ends.

        Parameters
        ----------
        files
            The files of annotations, as `files` returns them; they stand where masks do in a pair.
        ends
            How they may end.
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
        """Return all pairs of masks and images, also those without a partner."""
        return _joined([(group, pair) for group in self.chosen for pair in self._pairs_of(group)])

    def _pairs_of(self, group: Group) -> list[Pair]:
        if not self.has_masks:
            return pair_up(labels_among(group.others), images_among(group.images))
        pairs = group.pairs()
        named = is_mask_folder(self.path.resolve().name)
        if named and not group.images and not any(pair.masks and pair.images for pair in pairs):
            return pair_up([*group.masks, *labels_among(group.others)], [])  # so says the folder's own name
        return pairs

    def ids(self, pairs: list[tuple[Group, Pair]]) -> list[str]:
        """Return the id of each pair; where several folders have one, the folders' names come before it.

        Of a pair without a name, such as ``<id>/image.png`` and ``<id>/mask.png``, it is that of the folder; of
        ``<id>/image.png`` alone, too.
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
        """Return all pairs if images are sought: where nothing says that there are masks, every file is an image.

        But files of the folder itself are the masks of those of the same names in its folder of images.
        """
        if self.has_masks or not self._own.images:
            return _joined([(group, pair) for group in self.chosen for pair in group.pairs()])
        below = {composed(file.stem) for file in self._own.images}
        masks = [file for file in self._own.others if composed(file.stem) in below]
        known = set(masks)
        others = [file for file in self._own.others if file not in known]
        return [(self._own, pair) for pair in pair_up(masks, images_among([*self._own.images, *others]))]

    def aside(self) -> list[str]:
        """Return notes of files and folders that are left aside as they are neither images nor masks."""
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
            *_note("left aside, as neither images nor masks by name", names),
            *_note("left aside, as of no format that is read", strangers),
            *_note("left aside, as empty", [*self._scan.empty, *self._names(empty)]),
            *_note("of the Cell Tracking Challenge", self._scan.choices),
        ]

    def notes(self) -> list[str]:
        """Return notes of what is left aside, and why."""
        notes = self.aside()
        if unreadable := self._unreadable():
            notes.append(f"note: left aside, as no label images: {listed(unreadable)} ({', '.join(LABEL_FORMATS)})")
        pickles = [str(file) for group in self.chosen for file in self._without_masks(group)]
        return [*notes, f"note: no masks but Cellpose's {listed(pickles)}: {SAVE_MASKS}"] if pickles else notes

    def problem(self) -> str:
        """Return why there are no label images, and what helps; empty text if there are some, or nothing is known."""
        if pickles := [] if self.has_masks else [file for group in self.groups for file in group.pickles]:
            return (
                f"{self.path} holds no label images but Cellpose's {listed([file.name for file in pickles])}, which "
                "--format cellpose-seg reads"
            )
        if self.has_labels:
            return ""
        if unreadable := self._unreadable():
            return f"{self.path} holds no label image ({', '.join(LABEL_FORMATS)}), but {listed(unreadable)}"
        images = [file for group in self.groups for file in images_among([*group.images, *group.others])]
        if not images:
            return ""
        (where,) = self._names(images[:1])
        return (
            f"{self.path} holds {count(len(images), 'image file')}, such as {printable(where)}, and no masks: "
            "these would be <id>_masks.* beside <id>.*, or masks/ beside images/. If masks are elsewhere, give their "
            "folder, and this one by --images"
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
    """Return the first names in a line, and the number of the others."""
    more = f" and {len(names) - _NAMED:,} more" if len(names) > _NAMED else ""
    return ", ".join(map(printable, names[:_NAMED])) + more


def annotated_stem(name: str, ends: tuple[str, ...]) -> str:
    """Return the name of an image, without its end, from that of its file of annotations.

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
    """Return the images of a folder of cells that are not the one of its name."""
    images, own = images_among(group.images), group.parts[-1:]
    return [file for file in images if (composed(file.stem),) != tuple(map(composed, own))] if len(images) > 1 else []


def _joined(pairs: list[tuple[Group, Pair]]) -> list[tuple[Group, Pair]]:
    """Give masks without an image those of the same name in other folders, where no other masks have this name."""
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
                if _is_within(group, below) or _is_within(below, group):  # else it is the image of another plate
                    mask.images += pair.images
                    pair.images = []
    return [(group, pair) for group, pair in pairs if pair.masks or pair.images]


def _is_within(group: Group, other: Group) -> bool:
    return group.parts[: len(other.parts)] == other.parts


def _kind(group: Group) -> str:
    """Return what names say of masks: "labels" of images, "cells" of one, a "pair", or "alone" without an image."""
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
