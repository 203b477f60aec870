"""Reader of OME-Zarr images with label images."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

from cellprep.core.rle import Order
from cellprep.errors import AnnotationError, SourceError
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord, digest, most_common
from cellprep.formats.annotations.source import FolderSource
from cellprep.formats.images.pixel_size import side_of
from cellprep.formats.images.planes import StackOptions
from cellprep.formats.label_images.file import annotations_of_labels
from cellprep.formats.layouts.layout import Layout
from cellprep.formats.ome_zarr.finding import is_collection, is_image, is_label_image, ome_zarr_images
from cellprep.formats.ome_zarr.multiscale import (
    OMEZarrPixels,
    describe_zarr,
    label_names,
    label_properties,
    ome_attributes,
)
from cellprep.store.image_ids import id_problem


@dataclass(frozen=True, slots=True, kw_only=True)
class OMEZarrLabels(ImageRecord):
    """A label image of an OME-Zarr image.

    Attributes
    ----------
    labels
        The label image.
    """

    rows_are_labels: ClassVar[bool] = True
    knows_pixel_size: ClassVar[bool] = True

    labels: OMEZarrPixels

    def content(self) -> list[Any]:
        """Return the labels' hash and the scale, and the types of labels if there are any."""
        types = label_properties(self.labels.path).types
        return [self.labels.sha256(), self._pixel_size(), *([sorted(types.items())] if types else [])]

    def known_types(self) -> frozenset[str] | None:
        """Return that no label has a type; None if the metadata have types, as only some of these labels may exist."""
        return None if label_properties(self.labels.path).types else frozenset({""})

    def all_types(self) -> frozenset[str]:
        """Return the types in its metadata."""
        return frozenset(label_properties(self.labels.path).types.values())

    def read(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the labels."""
        found = annotations_of_labels(self.labels.decode(), str(self.labels), self.partial.ignore_labels)
        told = label_properties(self.labels.path)
        cell_types = tuple(told.types.get(row, "") for row in found.rows)
        return replace(
            found,
            cell_types=cell_types,
            cell_type=most_common(cell_types),
            pixel_size=self._pixel_size(),
            scores=_of_rows(told.scores, found.rows),
            type_scores=_of_rows(told.type_scores, found.rows),
        ).without(self.excluded)

    def _pixel_size(self) -> float | None:
        image = None if self.pixels is None else side_of(self.pixels.sides())
        return image or side_of(self.labels.sides())


def _of_rows(values: dict[int, float], rows: tuple[int, ...]) -> tuple[float, ...] | None:
    """Return the value of each row; None if one is missing."""
    return tuple(values[row] for row in rows) if rows and values.keys() >= set(rows) else None


class OMEZarr(FolderSource):
    """OME-Zarr images with one label image each, or one called ``instances``.

    Parameters
    ----------
    path
        Folder of an image; of one label image, ``<image>/labels/<name>``; of a plate, whose images are called
        ``<row>_<column>_<field>``; output of bioformats2raw, whose images are called ``<name>_<series>`` if there are
        several; or a folder of these.

    Raises
    ------
    SourceError
        If there is no such image.
    """

    format = "ome-zarr"
    has_numbers = True

    def __init__(self, path: Path, _order: Order | None = None, layout: Layout | None = None) -> None:
        super().__init__(path)
        found = ome_zarr_images(path, layout)
        if not found:
            raise SourceError(f"{path} is not an OME-Zarr image, and contains none")
        self._images = {
            image_id: paths
            for image_id, paths in found.items()
            if any(is_label_image(path) or label_names(path) for path in paths)
        }
        self.unannotated = [image_id for image_id in found if image_id not in self._images]
        if not self._images:
            raise SourceError(
                f"{path} contains no OME-Zarr image with label images, which must be in <image>/labels/<name>"
            )
        self.sha256 = digest({image_id: list(map(ome_attributes, paths)) for image_id, paths in found.items()})

    @classmethod
    def fits(cls, layout: Layout) -> bool:
        """Return whether a folder is an OME-Zarr image or contains some."""
        path = layout.path.resolve()
        found = is_image(path) or is_collection(path)
        return found or (bool(ome_zarr_images(path, layout)) and not layout.has_masks)

    @property
    def image_ids(self) -> list[str]:
        """Names of all images, sorted."""
        return list(self._images)

    @property
    def has_pixels(self) -> bool:
        """True if there are images with the label images."""
        paths = (
            path.parent.parent if is_label_image(path) else path for paths in self._images.values() for path in paths
        )
        return any("multiscales" in ome_attributes(path) for path in paths)

    def records(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, paths in self._images.items():
            try:
                yield self._record(image_id, paths)
            except AnnotationError as error:
                yield FaultyImage(image_id, str(error))

    def _record(self, image_id: str, paths: list[Path]) -> OMEZarrLabels:
        path = paths[0]
        if problem := id_problem(image_id):
            raise AnnotationError(f"{path}: {problem}")
        if len(paths) > 1:
            raise AnnotationError(f"several images have this id: {', '.join(map(str, paths))}; keep one")
        image, labels = (path.parent.parent, path) if is_label_image(path) else (path, _labels_of(path))
        return OMEZarrLabels(
            image_id=image_id,
            source=self.name,
            labels=OMEZarrPixels(labels),
            pixels=OMEZarrPixels(image, StackOptions()) if "multiscales" in ome_attributes(image) else None,
        )


def zarr_problem(path: Path) -> str:
    """Describe a Zarr folder that cannot be read as annotations, with a remedy; an empty string if it is not Zarr."""
    if not (found := describe_zarr(path)):
        return ""
    return (
        f"{path} has an unknown format: it is {found}. OME-Zarr has multiscales, which define its axes, and label "
        "images in labels/<name>: write it in this form, or save images and label images as TIFF"
    )


def _labels_of(image: Path) -> Path:
    names = label_names(image)
    if len(names) != 1 and "instances" not in names:
        raise AnnotationError(
            f"{image} has the label images {', '.join(map(repr, names))}: it must have one, or one called instances; "
            f"or give {image.name}/labels/<name> as the source"
        )
    return image / "labels" / ("instances" if "instances" in names else names[0])
