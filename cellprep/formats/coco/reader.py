"""Reader of COCO JSON, including LIVECell: polygons, run-length counts, compressed or not, and crowds."""

import hashlib
import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from cellprep.core.rle import Order, Runs, parse_coco_counts
from cellprep.errors import AnnotationError, RLEError, SourceError, UsageError
from cellprep.formats.annotations.documents import read
from cellprep.formats.annotations.json_kinds import json_format
from cellprep.formats.annotations.record import (
    Annotations,
    FaultyImage,
    ImageRecord,
    check_excluded,
    check_shape,
    most_common,
)
from cellprep.formats.annotations.source import Source
from cellprep.formats.coco.crowds import Crowds, crowd_notes
from cellprep.formats.coco.document import AnnotationEntry, Document, EntryId, ImageEntry
from cellprep.formats.coco.loose import parse_document
from cellprep.formats.coco.masks import mask_counts
from cellprep.formats.coco.names import names_of
from cellprep.store.image_ids import id_problem

_LONGEST_SIDE = 10**9


@dataclass(frozen=True, slots=True, kw_only=True)
class COCOImage(ImageRecord):
    """The annotations of one image.

    Attributes
    ----------
    shape
        (H, W), in pixels; None if the file does not have it.
    masks
        (n,) values of ``segmentation``, as JSON.
    rows
        (n,) ids of the annotations.
    cell_types
        (n,) names of their categories.
    crowds
        Values of ``segmentation`` of the crowds, as JSON, by id.
    scores
        (n,) confidence of each annotation; None if not all have one.
    """

    shape: tuple[int, int] | None
    masks: tuple[bytes, ...]
    rows: tuple[int, ...]
    cell_types: tuple[str, ...]
    crowds: dict[int, bytes]
    scores: tuple[float, ...] | None = None

    @property
    def needs_shape(self) -> bool:
        """True if the file lacks the image's size."""
        return self.shape is None

    def content(self) -> list[Any]:
        """Return all fields that may affect targets."""
        masks = [mask.decode(errors="backslashreplace") for mask in (*self.masks, *self.crowds.values())]
        crowds = [[row, mask] for row, mask in zip(self.crowds, masks[len(self.masks) :], strict=True)]
        return [self.shape, masks[: len(self.masks)], self.rows, self.cell_types, crowds]

    def known_types(self) -> frozenset[str]:
        """Return the types of its annotations."""
        return frozenset(self.cell_types)

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
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
                parse_coco_counts([mask_counts(mask, size)], size)
            except RLEError as error:
                found[row] = error.problem
        return found

    def _runs(self, masks: Sequence[bytes], rows: Sequence[int], shape: tuple[int, int]) -> Runs:
        counts: list[bytes | list[int]] = []
        try:
            for mask in masks:
                counts.append(mask_counts(mask, shape))
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
                f"{self.source} has no width and height of image {self.image_id!r}: give the image files (--images)"
            )
        check_shape(known)  # before masks are allocated
        return known


class COCOJSON(Source):
    """Annotations in a COCO file.

    Parameters
    ----------
    path
        The file.
    crowds
        Whether crowds are regions to ignore or cells. By default they are regions to ignore, but this is an error if
        there are no other annotations.

    Attributes
    ----------
    document
        Parsed content of the file.

    Raises
    ------
    SourceError
        If the file cannot be read or is not COCO JSON.
    UsageError
        If all annotations are crowds, and `crowds` is not given.
    """

    format = "coco"

    def __init__(self, path: Path, _order: Order | None = None, crowds: Crowds | None = None) -> None:
        super().__init__(path)
        if crowds not in (None, *get_args(Crowds)):
            raise UsageError(f"crowds={crowds!r} is unknown: use one of {', '.join(get_args(Crowds))}")
        content = read(path)
        self.sha256 = hashlib.sha256(content).hexdigest()
        self._crowds = crowds
        self._take(parse_document(content, path))
        if not self._images:
            raise SourceError(f"{path} has no annotations: its list of images is empty")

    def _take(self, document: Document) -> None:
        self.document = document
        self.notes += document.notes
        images, annotations = document.images, document.annotations
        self._names = {category.id: category.name for category in document.categories}
        self._category_ids = _as_listed(self._names)
        self._images: dict[str, list[ImageEntry]] = defaultdict(list)
        self._problems: dict[str, str] = {}
        for place, (name, image) in enumerate(zip(names_of(images), images, strict=True)):
            self._images[name].append(image)
            if place in document.image_problems:
                self._problems[name] = document.image_problems[place]
        self._times = Counter(image.id for image in images)
        by_name = {
            text: image.id for name, found in self._images.items() for image in found for text in _texts(name, image)
        }
        listed = {**by_name, **_as_listed(self._times)}

        def known(image_id: EntryId) -> EntryId:
            return image_id if image_id in self._times else listed.get(_plain(image_id), image_id)

        self._of_image: dict[EntryId, list[AnnotationEntry]] = defaultdict(list)
        for annotation in annotations:
            self._of_image[known(annotation.image_id)].append(annotation)
        self._problem_of = {known(image_id): problem for image_id, problem in document.annotation_problems.items()}
        self._strays = {**document.strays, **self._unlisted()}
        if self._crowds is None:
            names = {image.id: name for name, images in self._images.items() for image in images}
            self.notes += crowd_notes(
                self.path, [(names.get(image_id, ""), found) for image_id, found in self._of_image.items()], self._names
            )

    def _unlisted(self) -> dict[str, str]:
        """Return the problems of images that occur only in annotations."""
        some = ", ".join(repr(number) for number in list(self._times)[:3])
        problem = (
            f"{self.name} has annotations for it, but it is not in the list of images, which has ids such as {some}"
        )
        strangers = sorted(f"image {stranger}" for stranger in self._of_image.keys() - self._times.keys())
        return dict.fromkeys(strangers, problem)

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Return whether a path looks like a COCO file."""
        return path.is_file() and path.suffix.lower() == ".json" and not json_format(path)

    @property
    def image_ids(self) -> list[str]:
        """Names of all images."""
        return [*self._images, *self._strays]

    @property
    def declared_types(self) -> frozenset[str]:
        """The names of its categories."""
        return frozenset(self._names.values())

    @property
    def file_names(self) -> dict[str, str]:
        """Names of the images' files by id."""
        return {name: images[0].file_name for name, images in self._images.items() if images[0].file_name}

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image, followed by those that occur only in annotations."""
        for name, images in self._images.items():
            try:
                yield self._record(name, images)
            except AnnotationError as error:
                yield FaultyImage(name, f"{self.name} image {images[0].id!r}: {error}")
        for name, problem in self._strays.items():
            yield FaultyImage(name, problem if problem.startswith(self.name) else f"{self.name} {name}: {problem}")

    def _record(self, name: str, images: list[ImageEntry]) -> COCOImage:
        image = images[0]
        annotations = self._of_image.get(image.id, [])
        self._check_entry(name, images)
        self._check_ids(annotations)
        as_cells = self._crowds == "cells"
        cells = [annotation for annotation in annotations if as_cells or not annotation.iscrowd]
        crowds = [annotation for annotation in annotations if annotation.iscrowd and not as_cells]
        scores = [cell.score for cell in cells if cell.score is not None]
        return COCOImage(
            image_id=name,
            source=self.name,
            file_name=image.file_name.replace("\\", "/"),
            shape=(image.height, image.width) if image.height else None,
            masks=tuple(bytes(annotation.segmentation) for annotation in cells),
            rows=tuple(annotation.id for annotation in cells),
            cell_types=tuple(map(self._category, cells)),
            scores=tuple(scores) if scores and len(scores) == len(cells) else None,
            crowds={annotation.id: bytes(annotation.segmentation) for annotation in crowds},
        )

    def _check_entry(self, name: str, images: list[ImageEntry]) -> None:
        image = images[0]
        if len(images) > 1:
            raise AnnotationError(f"image {images[1].id!r} has the same name, {name!r}: names must be unique")
        if self._times[image.id] > 1:
            raise AnnotationError("another image has the same id: ids must be unique")
        if problem := id_problem(name) or self._problems.get(name) or self._problem_of.get(image.id):
            raise AnnotationError(problem)
        sides = (image.height, image.width)
        if any(sides) and not all(0 < side <= _LONGEST_SIDE for side in sides):
            raise AnnotationError(
                f"its size is {image.height} x {image.width} (height x width): give both in pixels, or omit both and "
                "give the image files (--images)"
            )

    def _check_ids(self, annotations: Sequence[AnnotationEntry]) -> None:
        for row, times in Counter(annotation.id for annotation in annotations).items():
            if times > 1:
                raise AnnotationError(f"several of its annotations have the id {row}: ids must be unique")
            if not -(2**63) <= row < 2**63:
                raise AnnotationError(f"the id {row} of an annotation has more than 64 bits")

    def _category(self, annotation: AnnotationEntry) -> str:
        category = annotation.category_id
        if category is None or not self._names:
            return ""
        known = category if category in self._names else self._category_ids.get(_plain(category))
        if known is None:
            some = ", ".join(repr(number) for number in list(self._names)[:5])
            raise AnnotationError(
                f"annotation {annotation.id} is of category {category!r}, which is not in the file; its categories "
                f"are {some}"
            )
        return self._names[known]


def _as_listed(ids: Iterable[EntryId]) -> dict[str, EntryId]:
    """Return ids by text, so that 1 is also found as "1"; empty if two different ids have the same text."""
    listed = list(ids)
    by_text = {_plain(number): number for number in listed}
    return by_text if len(by_text) == len(listed) else {}


def _plain(number: EntryId) -> str:
    """Return an id as text, without leading zeros."""
    text = str(number).strip()
    return str(int(text)) if re.fullmatch("[0-9]{1,30}", text) else text


def _texts(name: str, image: ImageEntry) -> tuple[str, ...]:
    """Return texts that annotations may use for an image instead of its id."""
    return (_plain(name), _plain(image.file_name)) if image.file_name else ()
