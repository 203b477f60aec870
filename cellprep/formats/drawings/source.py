"""Base classes of readers of drawings: one file per image, or one file of several images."""

import hashlib
from abc import abstractmethod
from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from cellprep.core.rle import Order
from cellprep.errors import SourceError
from cellprep.formats.annotations.documents import read
from cellprep.formats.annotations.partial import Partial
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import FolderSource, Source
from cellprep.formats.coco.document import ImageEntry
from cellprep.formats.coco.names import names_of
from cellprep.formats.drawings.image import DrawnImage
from cellprep.formats.images.file import ImageFile
from cellprep.formats.layouts.groups import Pair
from cellprep.formats.layouts.layout import Layout, annotated_stem
from cellprep.formats.layouts.listing import hash_of_listing
from cellprep.store.image_ids import composed, id_problem
from cellprep.text.wording import count

NO_SIZES = "does not have the sizes of its images"


class DrawnFiles(FolderSource):
    """Annotations in one file per image: a folder of such files, or a single one.

    Images are files of the same name in the same folder, or in the folder of a known layout, such as ``images/`` for
    ``labels/``.

    Parameters
    ----------
    path
        The folder or the file.

    Raises
    ------
    SourceError
        If it cannot be read or contains no such file.
    """

    no_sizes = NO_SIZES
    #: Extensions of such files.
    ends: ClassVar[tuple[str, ...]]
    #: Number of files by which a folder is recognised.
    looked_at: ClassVar[int] = 8
    record: ClassVar[type[DrawnImage]]

    def __init__(self, path: Path, _order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        if path.is_dir():
            self._take(layout or Layout(path))
        else:
            self._pairs = {composed(annotated_stem(path.name, self.ends)): Pair("", [path])}
        if not self._pairs:
            raise SourceError(f"{path} contains no file of the format {self.format} ({', '.join(self.ends)})")
        files = [file for pair in self._pairs.values() for file in pair.masks]
        self.sha256 = hash_of_listing(files, path if path.is_dir() else path.parent)
        self.needs_images = not (self.record.tells_shape or self.has_pixels)
        self.notes = self.notes_of(files[: self.looked_at])

    def _take(self, layout: Layout) -> None:
        pairs = layout.drawn_pairs(self.files_among(layout), self.ends)
        found: dict[str, Pair] = {}
        for image_id, (group, pair) in zip(layout.ids(pairs), pairs, strict=True):
            if pair.masks:
                known = found.setdefault(image_id, Pair(image_id))
                known.masks += pair.masks
                known.images += pair.images
            else:
                self.unannotated += ["/".join([*group.parts, file.name]) for file in pair.images]
        self._pairs = dict(sorted(found.items()))

    @classmethod
    def files_among(cls, layout: Layout) -> list[Path]:
        """Return the files in a folder that may belong to the format by their names."""
        return layout.files(cls.ends)

    @classmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether a folder contains such files, and nothing indicates masks."""
        if layout.has_masks:
            return False
        for file in cls.files_among(layout)[: cls.looked_at]:
            with suppress(OSError):  # unreadable files are skipped
                if cls.is_own(file):
                    return True
        return False

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path looks like such a file or a folder of such files."""
        return super().recognises(path) or (path.is_file() and cls.is_own(path))

    @classmethod
    @abstractmethod
    def is_own(cls, path: Path) -> bool:
        """Return whether a file is of this format, by its content."""

    def notes_of(self, files: Sequence[Path]) -> list[str]:
        """Return remarks about how some of the files are read, one per line."""
        return []

    @property
    def image_ids(self) -> list[str]:
        """Ids of all images, sorted."""
        return list(self._pairs)

    @property
    def has_pixels(self) -> bool:
        """True if there are images with the files."""
        return any(pair.images for pair in self._pairs.values())

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, pair in self._pairs.items():
            if problem := id_problem(image_id):
                yield FaultyImage(image_id, f"{pair.masks[0]}: {problem}")
            elif several := next((files for files in (pair.masks, pair.images) if len(files) > 1), None):
                yield FaultyImage(image_id, f"several files have this id: {', '.join(map(str, several))}; keep one")
            else:
                pixels = ImageFile(pair.images[0]) if pair.images else None
                yield self.new_record(image_id, pair.masks[0], pixels)

    def new_record(self, image_id: str, path: Path, pixels: ImageFile | None) -> ImageRecord:
        """Return the record of an image."""
        return self.record(image_id=image_id, source=self.name, document=path, pixels=pixels)


@dataclass(slots=True)
class DrawnEntry:
    """An image listed in a file of several images.

    Attributes
    ----------
    key
        Substitute for its name if the file has none.
    file_name
        Name of its file; an empty string if the file has none.
    document
        Source of its annotations.
    shape
        (H, W) in pixels, if the file has it.
    problem
        Problem of the image, if any.
    """

    key: str
    file_name: str
    document: bytes = b""
    shape: tuple[int, int] | None = None
    problem: str = ""


class DrawnSet(Source):
    """Annotations of several images in one file.

    Parameters
    ----------
    path
        The file.
    partial
        The annotated part of the images.

    Raises
    ------
    SourceError
        If it cannot be read or has another format.
    """

    no_sizes = NO_SIZES
    record: ClassVar[type[DrawnImage]]

    def __init__(self, path: Path, _order: Order | None = None, partial: Partial | None = None) -> None:
        super().__init__(path)
        self.partial = partial or self.partial
        content = read(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        entries = self.entries(content)
        if not entries:
            raise SourceError(f"{path} has no annotations: it lists no images")
        names = names_of([ImageEntry(entry.key, entry.file_name) for entry in entries])
        self._entries: dict[str, list[DrawnEntry]] = defaultdict(list)
        for name, entry in zip(names, entries, strict=True):
            self._entries[name].append(entry)
        self.needs_images = all(entry.shape is None for entry in entries if not entry.problem)

    @abstractmethod
    def entries(self, content: bytes) -> list[DrawnEntry]:
        """Return the images that the file lists, and record notes.

        Raises
        ------
        SourceError
            If it has another format.
        """

    @property
    def image_ids(self) -> list[str]:
        """Names of all images."""
        return list(self._entries)

    @property
    def file_names(self) -> dict[str, str]:
        """Names of the images' files by id."""
        return {name: found[0].file_name for name, found in self._entries.items() if found[0].file_name}

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for name, entries in self._entries.items():
            entry = entries[0]
            same = f"{len(entries)} of its images have this name: names must be unique" if len(entries) > 1 else ""
            if problem := same or id_problem(name) or entry.problem:
                yield FaultyImage(name, f"{self.name} image {entry.file_name or entry.key!r}: {problem}")
            else:
                yield self.record(
                    image_id=name,
                    source=self.name,
                    file_name=entry.file_name.replace("\\", "/"),
                    document=entry.document,
                    shape=entry.shape,
                )

    def note_rectangles(self, classes: Iterable[str]) -> None:
        """Record a note about rectangles, given their classes: they are areas, but may be bounding boxes."""
        if number := sum(name not in self.partial.classes for name in classes):
            what = "taken as cells of this shape; bounding boxes of cells are not masks"
            self.notes.append(f"note: {count(number, 'rectangle')} {what}")
