"""Annotation files next to their images: one or several files for each image, matched by name."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cellprep.formats.annotations.source import FolderSource
from cellprep.formats.images.file import ImageFile
from cellprep.formats.layouts.groups import Group, images_among
from cellprep.store.image_ids import composed


@dataclass
class Beside:
    """Files of one image.

    Attributes
    ----------
    files
        Annotation files, sorted.
    images
        Files that are the image by name; there should be at most one.
    """

    files: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)

    @property
    def pixels(self) -> ImageFile | None:
        """The image, if there is one."""
        return ImageFile(self.images[0]) if len(self.images) == 1 else None

    @property
    def problem(self) -> str:
        """Problem with its images; an empty string if there is none."""
        several = ", ".join(map(str, self.images))
        return f"several image files have this id: {several}; keep one" if len(self.images) > 1 else ""


def find_beside(found: Iterable[tuple[Group, str, Path]]) -> dict[str, Beside]:
    """Return the files of each image by id, sorted.

    Parameters
    ----------
    found
        Annotation files, with the group and the name of the image of each. If several groups have an image of the same
        name, the names of their folders are prepended: ``train_a``.
    """
    by_name: dict[str, dict[tuple[str, ...], Beside]] = defaultdict(dict)
    for group, name, file in found:
        beside = by_name[name].setdefault(group.parts, Beside())
        beside.files.append(file)
        beside.images = beside.images or [one for one in images_of(group) if composed(one.stem) == name]
    ids = {
        "_".join([*parts, name]) if len(groups) > 1 else name: beside
        for name, groups in by_name.items()
        for parts, beside in groups.items()
    }
    for beside in ids.values():
        beside.files.sort()
    return dict(sorted(ids.items()))


def images_of(group: Group) -> list[Path]:
    """Return the image files of a group."""
    return images_among([*group.images, *group.others])


class BesideSource(FolderSource):
    """Annotations in files next to images: a folder with its subfolders, or one file."""

    _images: dict[str, Beside]

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, sorted."""
        return list(self._images)

    @property
    def has_pixels(self) -> bool:
        """True if there are images with the files."""
        return any(beside.images for beside in self._images.values())
