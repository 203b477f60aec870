"""The images that are stored with the targets: where they come from, and why one may be missing."""

from dataclasses import dataclass, field, replace
from enum import StrEnum
from pathlib import Path
from typing import Literal, NamedTuple

from cellprep.errors import UsageError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.folder import ImageFolder
from cellprep.formats.layouts.pairing import FoundImages, find_images, open_images
from cellprep.text.wording import capped, count, printable

#: A folder; False for no images; or None to use what is found.
ImageChoice = Path | str | Literal[False] | None


class Lack(StrEnum):
    """Reasons for building an image without pixels although there is a folder of images."""

    NO_FILE = "{folder} has no file for these"
    SEVERAL_FILES = "{folder} has several files for each of these"
    UNREADABLE = "their files cannot be read"
    SIZE = "their files contradict their annotations"


class Lacking(NamedTuple):
    """The reason why an image is built without pixels, and the problem of its file, if there is one."""

    lack: Lack
    problem: str = ""


@dataclass
class PixelReport:
    """The outcome for the images' pixels.

    Attributes
    ----------
    folder
        The folder that was found; empty if one was given, or if none is needed or found.
    stored
        Whether pixels are stored, regardless of their source.
    declined
        Whether the user asked for no pixels.
    total
        Number of images to build.
    found
        Number of images with a file in the folder that was found.
    others
        Other folders with files for these images.
    unreadable
        Why folders could not be searched.
    lacking
        By reason, the images built without pixels, each with the problem of its file.
    gained, lost
        Images whose pixels were added to the store by this run, or removed from it.
    """

    folder: str = ""
    stored: bool = False
    declined: bool = False
    total: int = 0
    found: int = 0
    others: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()
    lacking: dict[Lack, dict[str, str]] = field(default_factory=dict)
    gained: list[str] = field(default_factory=list)
    lost: list[str] = field(default_factory=list)

    def add(self, image_id: str, lacking: Lacking | None, *, before: bool | None, now: bool) -> None:
        """Count one image of the store, now with or without pixels; `before` is None if the image is new."""
        if lacking:
            self.lacking.setdefault(lacking.lack, {})[image_id] = lacking.problem
        if before is False and now:
            self.gained.append(image_id)
        if before and not now:
            self.lost.append(image_id)

    def sort(self, place: dict[str, int]) -> None:
        """Sort images by their places, as workers finish in any order."""
        self.lacking = {
            lack: dict(sorted(self.lacking[lack].items(), key=lambda item: place[item[0]]))
            for lack in Lack
            if lack in self.lacking
        }
        self.gained.sort(key=place.__getitem__)
        self.lost.sort(key=place.__getitem__)

    def notes(self) -> list[str]:
        """Return lines on the source of the images, on those without pixels, and on what changed in the store."""
        lines = []
        for lack, images in self.lacking.items():
            names = [": ".join(map(printable, filter(None, named))) for named in images.items()]
            what = lack.format(folder=printable(self.folder))
            lines += [f"{count(len(images), 'image')} built without pixels: {what}:", *capped(names, "image")]
        lines += [f"note: {printable(problem)}" for problem in self.unreadable]
        lines += [
            f"note: {printable(other)}/ has images of these names, too: choose with --images" for other in self.others
        ]
        if self.lost:
            again = "" if self.declined else "; --images FOLDER brings them back"
            lost = f"warning: {count(len(self.lost), 'image')} lost the pixels that the store had{again}:"
            lines += [lost, *capped(map(printable, self.lost), "image")]
        if self.gained:
            lines.append(f"{count(len(self.gained), 'image')} gained pixels")
        if self.folder:
            lines.append(f"images: {printable(self.folder)}, {self.found:,} of {self.total:,} found")
        elif not self.stored:
            advice = "" if self.declined else "; give --images"
            lines.append(
                f"no images: the store has only targets; networks that take images cannot be trained on it{advice}"
            )
        return lines


@dataclass(slots=True)
class PixelSource:
    """The source of the pixels of a source's images.

    Attributes
    ----------
    folder
        A folder of image files, if there is one.
    must
        Whether an image fails if its file is missing or damaged.
    report
        The report to fill.
    """

    folder: ImageFolder | None
    must: bool
    report: PixelReport

    def pair(self, image: ImageRecord | FaultyImage) -> tuple[ImageRecord | FaultyImage, Lacking | None]:
        """Return an image with its pixels, or with the reason why it has none."""
        if self.folder is None:
            return image, None
        file_name = getattr(image, "file_name", "")
        files = self.folder.files_of(image.image_id, file_name)
        self.report.found += bool(files)
        if isinstance(image, FaultyImage):
            return image, None
        if len(files) == 1:
            return replace(image, pixels=self.folder.pixels(image.image_id, files[0])), None
        if self.must or image.needs_shape:
            return FaultyImage(image.image_id, self.folder.problem(image.image_id, files, file_name)), None
        return image, Lacking(Lack.SEVERAL_FILES, ", ".join(map(str, files))) if files else Lacking(Lack.NO_FILE)


def open_pixels(source: Source, images: ImageChoice, total: int) -> PixelSource:
    """Find the pixels of a source's images.

    Parameters
    ----------
    source
        The annotations.
    images
        Folder of image files; False for no pixels; None for the source's own, or those of a folder next to it.
    total
        Number of images to build.

    Raises
    ------
    ImageFileError
        If the folder given cannot be read.
    UsageError
        If the source needs images, but there are none or they are declined.
    """
    if images is False:
        if source.needs_images:
            raise UsageError(
                f"{source.name} {source.no_sizes}: they are read from the images, so leave out --no-images"
            )
        return PixelSource(None, True, PixelReport(declined=True, total=total))
    if images is not None or source.has_pixels:
        return PixelSource(open_images(source, images), True, PixelReport(stored=True, total=total))
    found = find_images(source)
    if found.folder is None:
        open_images(source, None)
        return PixelSource(None, True, PixelReport(total=total, unreadable=found.unreadable))
    return PixelSource(found.folder, False, _report_of(found, f"{found.folder.path}/", total))


def _report_of(found: FoundImages, folder: str, total: int) -> PixelReport:
    return PixelReport(folder, True, total=total, others=found.others, unreadable=found.unreadable)
