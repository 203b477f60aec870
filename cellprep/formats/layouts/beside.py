"""Annotation files beside their images: a file or several for each image, by their names."""

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
    """The files of one image.

    Attributes
    ----------
    files
        Those that hold its annotations, sorted.
    images
        Those that are the image by their names; there should be one at most.
    """

    files: list[Path] = field(default_factory=list)
    images: list[Path] = field(default_factory=list)

    @property
    def pixels(self) -> ImageFile | None:
        """The image, if there is one."""
        return ImageFile(self.images[0]) if len(self.images) == 1 else None

    @property
    def problem(self) -> str:
        """What is wrong with its images; empty text if nothing is."""
        several = ", ".join(map(str, self.images))
        return f"several image files have this id: {several}; keep one" if len(self.images) > 1 else ""


def find_beside(found: Iterable[tuple[Group, str, Path]]) -> dict[str, Beside]:
    """Return the files of each image by its id, sorted.

    Parameters
    ----------
    found
        Files of annotations, each with its group and the name of its image in it. Where several groups have an image of
        one name, the names of their folders come before it: ``train_a``.
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
    """Annotations in files beside images: of a folder, with those below it, or one file."""

    _images: dict[str, Beside]

    @property
    def image_ids(self) -> list[str]:
        """The ids of all images, sorted."""
        return list(self._images)

    @property
    def has_pixels(self) -> bool:
        """Whether there are images beside the files."""
        return any(beside.images for beside in self._images.values())
