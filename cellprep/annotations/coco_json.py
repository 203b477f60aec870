"""Reader of COCO JSON: polygons, run-length counts, compressed or not, and crowds; LIVECell's files too."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from cellprep.annotations.coco_document import AnnotationEntry, Document, EntryId, ImageEntry, parse, read
from cellprep.annotations.record import Annotations, FaultyImage, ImageRecord, check_excluded, most_common
from cellprep.annotations.source import Source
from cellprep.errors import AnnotationError, RLEError, SourceError
from cellprep.image_ids import id_problem
from cellprep.rle import Order, Runs, parse_coco_counts, polygon_counts

__all__ = ["COCOJSON"]

_LONGEST_SIDE = 10**9


class _Counts(msgspec.Struct):
    size: tuple[int, int]
    counts: str | list[int]


_masks = msgspec.json.Decoder(list[list[float]] | _Counts | None)


@dataclass(frozen=True, slots=True, kw_only=True)
class COCOImage(ImageRecord):
    """The annotations of one image.

    Attributes
    ----------
    shape
        (H, W), in pixels; None if the file does not tell.
    masks
        (n,) the values of ``segmentation``, as JSON.
    rows
        (n,) the annotations' ids.
    cell_types
        (n,) the names of their categories.
    crowds
        The values of ``segmentation`` of the crowds, as JSON, by their ids.
    scores
        (n,) how sure a network is of each; None if not all tell.
    """

    shape: tuple[int, int] | None
    masks: tuple[bytes, ...]
    rows: tuple[int, ...]
    cell_types: tuple[str, ...]
    crowds: dict[int, bytes]
    scores: tuple[float, ...] | None = None

    @property
    def needs_shape(self) -> bool:
        """Whether the file does not tell the image's size."""
        return self.shape is None

    def content(self) -> list[Any]:
        """Return all fields that targets may depend on."""
        crowds = [[row, mask.decode()] for row, mask in self.crowds.items()]
        return [self.shape, [mask.decode() for mask in self.masks], self.rows, self.cell_types, crowds]

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Rasterise the polygons and parse the counts."""
        check_excluded(self.excluded, (*self.rows, *self.crowds))
        kept = [place for place, row in enumerate(self.rows) if row not in self.excluded]
        rows = tuple(self.rows[place] for place in kept)
        size = self._shape(shape)
        crowds = {row: mask for row, mask in self.crowds.items() if row not in self.excluded}
        ignore = self._runs(list(crowds.values()), list(crowds), size).coverage() > 0 if crowds else None
        return Annotations(
            runs=self._runs([self.masks[place] for place in kept], rows, size),
            rows=rows,
            cell_types=tuple(self.cell_types[place] for place in kept),
            cell_type=most_common([self.cell_types[place] for place in kept]) or most_common(self.cell_types),
            ignore=ignore,
            scores=None if self.scores is None else tuple(self.scores[place] for place in kept),
        )

    def faults(self, shape: tuple[int, int] | None = None) -> dict[int, str]:
        """Parse the masks one by one."""
        size = self._shape(shape)
        found = {}
        for row, mask in [*zip(self.rows, self.masks, strict=True), *self.crowds.items()]:
            try:
                parse_coco_counts([_counts(mask, size)], size)
            except RLEError as error:
                found[row] = error.problem
        return found

    def _runs(self, masks: Sequence[bytes], rows: Sequence[int], shape: tuple[int, int]) -> Runs:
        counts: list[bytes | list[int]] = []
        try:
            for mask in masks:
                counts.append(_counts(mask, shape))
        except RLEError as error:
            raise self._fault(rows[len(counts)], error) from error
        try:
            return parse_coco_counts(counts, shape)
        except RLEError as error:
            raise self._fault(rows[error.place], error) from error

    def _fault(self, row: int, error: RLEError) -> AnnotationError:
        return AnnotationError(f"{self.source} annotation {row}: {error.problem}")

    def _shape(self, shape: tuple[int, int] | None) -> tuple[int, int]:
        known = self.shape or shape
        if known is None:
            raise AnnotationError(
                f"{self.source} gives no width and height of image {self.image_id!r}: "
                "give the images, whose files tell (--images)"
            )
        return known


class COCOJSON(Source):
    """Annotations in a COCO file.

    Parameters
    ----------
    path
        The file.

    Attributes
    ----------
    listed, categories
        The images and categories that stand in the file.

    Raises
    ------
    SourceError
        If the file cannot be read, or is no COCO JSON.
    """

    format = "coco"

    def __init__(self, path: Path, _order: Order | None = None) -> None:
        super().__init__(path)
        content = read(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._take(parse(content, Document, path, "COCO JSON"))
        if not self._images:
            raise SourceError(f"{path} holds no annotations: its list of images is empty")

    def _take(self, document: Document) -> None:
        self.listed = document.images
        self.categories = document.categories
        annotations = document.annotations
        self._names = {category.id: category.name for category in document.categories}
        self._images: dict[str, list[ImageEntry]] = defaultdict(list)
        for image in document.images:
            self._images[_name(image)].append(image)
        self._of_image: dict[EntryId, list[AnnotationEntry]] = defaultdict(list)
        for annotation in annotations.values() if isinstance(annotations, dict) else annotations:
            self._of_image[annotation.image_id].append(annotation)
        self._times = Counter(image.id for image in document.images)
        self._strays = sorted({f"image {stray}" for stray in self._of_image.keys() - self._times.keys()})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether a path looks like a COCO file."""
        return path.is_file() and path.suffix.lower() == ".json"

    @property
    def image_ids(self) -> list[str]:
        """The names of all images."""
        return [*self._images, *self._strays]

    @property
    def file_names(self) -> dict[str, str]:
        """The names of the images' files by id."""
        return {name: images[0].file_name for name, images in self._images.items() if images[0].file_name}

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image, then those that only annotations name."""
        for name, images in self._images.items():
            try:
                yield self._record(name, images)
            except AnnotationError as error:
                yield FaultyImage(name, f"{self.name} image {images[0].id!r}: {error}")
        for name in self._strays:
            yield FaultyImage(name, f"{self.name} has annotations of it, but it is not among the images")

    def _record(self, name: str, images: list[ImageEntry]) -> COCOImage:
        image = images[0]
        annotations = self._of_image.get(image.id, [])
        if len(images) > 1:
            raise AnnotationError(f"image {images[1].id!r} has the same name, {name!r}: names must differ")
        if self._times[image.id] > 1:
            raise AnnotationError("another image has the same id: ids must differ")
        if problem := id_problem(name):
            raise AnnotationError(problem)
        sides = (image.height, image.width)
        if any(sides) and not all(0 < side <= _LONGEST_SIDE for side in sides):
            raise AnnotationError(f"its size {image.height} x {image.width} (height x width) is none")
        self._check_ids(annotations)
        cells = [annotation for annotation in annotations if not annotation.iscrowd]
        scores = [cell.score for cell in cells if cell.score is not None]
        return COCOImage(
            image_id=name,
            source=self.name,
            file_name=image.file_name,
            shape=(image.height, image.width) if image.height else None,
            masks=tuple(bytes(annotation.segmentation) for annotation in cells),
            rows=tuple(annotation.id for annotation in cells),
            cell_types=tuple(map(self._category, cells)),
            scores=tuple(scores) if scores and len(scores) == len(cells) else None,
            crowds={annotation.id: bytes(annotation.segmentation) for annotation in annotations if annotation.iscrowd},
        )

    def _check_ids(self, annotations: Sequence[AnnotationEntry]) -> None:
        for row, times in Counter(annotation.id for annotation in annotations).items():
            if times > 1:
                raise AnnotationError(f"several of its annotations have the id {row}: ids must differ")
            if not -(2**63) <= row < 2**63:
                raise AnnotationError(f"the id {row} of an annotation has more than 64 bits")

    def _category(self, annotation: AnnotationEntry) -> str:
        if self._names and annotation.category_id not in self._names:
            raise AnnotationError(
                f"annotation {annotation.id} is of category {annotation.category_id!r}, which the file does not list"
            )
        return self._names.get(annotation.category_id, "")


def _name(image: ImageEntry) -> str:
    """Return the name of an image's file without folders and its end, or the image's id if there is no file."""
    name = re.split(r"[/\\]", image.file_name)[-1]
    return name.rpartition(".")[0] or name or str(image.id)


def _counts(mask: bytes, shape: tuple[int, int]) -> bytes | list[int]:
    try:
        content = _masks.decode(mask)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise RLEError(0, f"its segmentation is neither polygons nor counts: {error}") from error
    if content is None:
        raise RLEError(0, "it has no segmentation")
    if isinstance(content, list):
        return polygon_counts(content, shape)
    if content.size != shape:
        height, width = content.size
        raise RLEError(0, f"its mask is {height} x {width} (height x width), its image {shape[0]} x {shape[1]}")
    return content.counts.encode(errors="replace") if isinstance(content.counts, str) else content.counts
