"""Reader of OME-Zarr images with label images."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cellprep.annotations.label_file import annotations_of_labels
from cellprep.annotations.listing import folders_in
from cellprep.annotations.multiscale import OMEZarrPixels, label_names, ome_attributes
from cellprep.annotations.record import Annotations, FaultyImage, ImageRecord, digest
from cellprep.annotations.source import Source
from cellprep.errors import AnnotationError, SourceError
from cellprep.image_ids import id_problem
from cellprep.rle import Order

__all__ = ["OMEZarr"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OMEZarrLabels(ImageRecord):
    """A label image of an OME-Zarr image.

    Attributes
    ----------
    labels
        The label image.
    """

    labels: OMEZarrPixels

    def content(self) -> list[Any]:
        """Return the labels' hash and scale."""
        return [self.labels.sha256(), self.labels.pixel_size()]

    def load(self, shape: tuple[int, int] | None = None) -> Annotations:
        """Read the labels."""
        found = annotations_of_labels(self.labels.decode(), str(self.labels))
        return replace(found, pixel_size=self.labels.pixel_size()).without(self.excluded)


class OMEZarr(Source):
    """One OME-Zarr image, or a folder of them, each with one label image, or one called ``instances``.

    Parameters
    ----------
    path
        The image's folder; one label image's folder, ``<image>/labels/<name>``; or a folder of images.

    Raises
    ------
    SourceError
        If there is no such image.
    """

    format = "ome-zarr"

    def __init__(self, path: Path, _order: Order | None = None) -> None:
        super().__init__(path)
        self._images = _images(path)
        if not self._images:
            raise SourceError(f"{path} is no OME-Zarr image, and holds none")
        self.sha256 = digest({image_id: ome_attributes(image) for image_id, image in self._images.items()})

    @classmethod
    def recognises(cls, path: Path) -> bool:
        """Say whether a folder is an OME-Zarr image or holds some."""
        return path.is_dir() and bool(_images(path))

    @property
    def image_ids(self) -> list[str]:
        """The names of all images, sorted."""
        return list(self._images)

    def images(self) -> Iterator[ImageRecord | FaultyImage]:
        """Yield each image."""
        for image_id, path in self._images.items():
            try:
                yield self._record(image_id, path)
            except AnnotationError as error:
                yield FaultyImage(image_id, str(error))

    def _record(self, image_id: str, path: Path) -> OMEZarrLabels:
        if problem := id_problem(image_id):
            raise AnnotationError(f"{path}: {problem}")
        image, labels = (path.parent.parent, path) if path.parent.name == "labels" else (path, _labels_of(path))
        return OMEZarrLabels(
            image_id=image_id,
            source=self.name,
            labels=OMEZarrPixels(labels),
            pixels=OMEZarrPixels(image) if "multiscales" in ome_attributes(image) else None,
        )


def _images(path: Path) -> dict[str, Path]:
    """Return the images by their ids."""
    if _is_image(path):
        image = path.resolve().parent.parent if path.resolve().parent.name == "labels" else path.resolve()
        return {_image_id(image): path.resolve()}
    return {_image_id(folder): folder for folder in folders_in(path) if _is_image(folder)}


def _is_image(folder: Path) -> bool:
    return "multiscales" in ome_attributes(folder) or bool(label_names(folder))


def _image_id(image: Path) -> str:
    return image.name.removesuffix(".zarr").removesuffix(".ome")


def _labels_of(image: Path) -> Path:
    names = label_names(image)
    if len(names) != 1 and "instances" not in names:
        found = ", ".join(names) or "none"
        raise AnnotationError(
            f"{image} must have one label image, or one called instances; found: {found}. "
            f"{image.name}/labels/<name> can be given as a source"
        )
    return image / "labels" / ("instances" if "instances" in names else names[0])
