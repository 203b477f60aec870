"""The images that are stored beside targets: where they come from, and why an image may have none."""

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

#: A folder; none at all; or whatever is found.
ImageChoice = Path | str | Literal[False] | None


class Lack(StrEnum):
    """Why an image is built without pixels, though there is a folder of images."""

    NO_FILE = "{folder} has no file of these"
    SEVERAL_FILES = "{folder} has several files of each of these"
    UNREADABLE = "their files cannot be read"
    SIZE = "their files contradict their annotations"


class Lacking(NamedTuple):
    """Why an image is built without pixels, and what is wrong with its file, if there is one."""

    lack: Lack
    problem: str = ""


@dataclass
class PixelReport:
    """The outcome for the images' pixels.

    Attributes
    ----------
    folder
        The folder that was found; empty if one was given, or none is needed or there.
    stored
        Whether pixels are stored, wherever they come from.
    declined
        Whether none were wanted.
    total
        Number of images to build.
    found
        Number of those of which the folder that was found has a file.
    others
        Further folders that have files for them.
    unreadable
        Why folders could not be searched.
    lacking
        Per reason the images built without pixels, each with what is wrong with its file.
    gained, lost
        Images that the store had without pixels and has with them now, and the other way round.
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
        """Count one image that is in the store, with pixels now or not; `before` is None if it was not there."""
        if lacking:
            self.lacking.setdefault(lacking.lack, {})[image_id] = lacking.problem
        if before is False and now:
            self.gained.append(image_id)
        if before and not now:
            self.lost.append(image_id)

    def sort(self, place: dict[str, int]) -> None:
        """Put images into the order of their places, whichever worker was first."""
        self.lacking = {
            lack: dict(sorted(self.lacking[lack].items(), key=lambda item: place[item[0]]))
            for lack in Lack
            if lack in self.lacking
        }
        self.gained.sort(key=place.__getitem__)
        self.lost.sort(key=place.__getitem__)

    def notes(self) -> list[str]:
        """Return lines on where the images come from, which have none, and which had others before."""
        lines = []
        for lack, images in self.lacking.items():
            names = [": ".join(map(printable, filter(None, named))) for named in images.items()]
            what = lack.format(folder=printable(self.folder))
            lines += [f"{count(len(images), 'image')} built without pixels; {what}:", *capped(names, "image")]
        lines += [f"note: {printable(problem)}" for problem in self.unreadable]
        lines += [
            f"note: {printable(other)}/ has images of these names, too: --images chooses" for other in self.others
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
            lines.append(f"without images: targets only; networks that see images cannot be trained on it{advice}")
        return lines


@dataclass(slots=True)
class PixelSource:
    """Where the pixels of a source's images come from.

    Attributes
    ----------
    folder
        A folder of image files, if there is one.
    must
        Whether an image fails if its file is missing or faulty.
    report
        What is said of it.
    """

    folder: ImageFolder | None
    must: bool
    report: PixelReport

    def pair(self, image: ImageRecord | FaultyImage) -> tuple[ImageRecord | FaultyImage, Lacking | None]:
        """Give an image its pixels, or say why it has none."""
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
    """Find out where the pixels of a source's images come from.

    Parameters
    ----------
    source
        The annotations.
    images
        Folder of image files; False for no pixels; None for the source's own, or else those of a folder beside it.
    total
        Number of images to build.

    Raises
    ------
    ImageFileError
        If the folder given cannot be read.
    UsageError
        If there are no images for a source that needs them, or they are declined.
    """
    if images is False:
        if source.needs_images:
            raise UsageError(f"{source.name} {source.no_sizes}: its image files tell, leave --no-images out")
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
