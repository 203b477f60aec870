"""Check of one image in a worker."""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.commands.check.findings import Finding, ImageFindings
from cellprep.commands.check.measures import measure_annotations
from cellprep.errors import CellprepError, ImageFileError
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord
from cellprep.formats.images.file import all_finite, fitting, how_turned
from cellprep.formats.images.pixel_size import side_of
from cellprep.system.executor import Failed


@dataclass(frozen=True, slots=True)
class CheckTask:
    """One image to check: small enough to send to another process.

    Attributes
    ----------
    record
        The image, as its reader describes it.
    problem
        Why there is no image file, if there should be one.
    overlap
        The rule that will resolve overlaps.
    thresholds
        The lowest value that each rule finds.
    """

    record: ImageRecord | FaultyImage
    problem: str
    overlap: str
    thresholds: dict[str, float]

    @property
    def image_id(self) -> str:
        """The image's name in the source."""
        return self.record.image_id


def check_image(task: CheckTask) -> ImageFindings | Failed:
    """Check one image."""
    record = task.record
    if isinstance(record, FaultyImage):
        return Failed(record.problem)
    found = [Finding(record.image_id, "image-missing", note=task.problem)] if task.problem else []
    pixels = None
    try:
        pixels = record.pixels.decode() if record.pixels else None
    except ImageFileError as error:
        found.append(Finding(record.image_id, "image-unreadable", note=str(error)))
    if pixels is None and found and record.needs_shape:
        return ImageFindings(record.image_id, "", tuple(found))

    shape = None if pixels is None else (pixels.shape[-2], pixels.shape[-1])
    faults, annotations = load_readable(record, shape)
    found += [Finding(record.image_id, "fault", row=row, note=problem) for row, problem in faults.items()]
    found = [replace(finding, cell_type=annotations.cell_type) for finding in found]
    turned = ""
    if record.pixels and pixels is not None:
        fitted = fitting(record.pixels, pixels, annotations.runs.shape)
        turned = how_turned(record.pixels, pixels, fitted)
        found += _judge_pixels(record, fitted, annotations)
    areas = annotations.runs.areas if annotations.areas is None else annotations.areas
    found += _judge_annotations(record.image_id, annotations, areas, task)
    return ImageFindings(
        record.image_id,
        annotations.cell_type,
        tuple(found),
        annotations.rows,
        annotations.cell_types,
        tuple(areas.tolist()),
        turned,
        annotations.ignored,
        annotations.pixel_size or (None if pixels is None else side_of(record.sides())),
        int((areas > annotations.runs.areas).sum()),
    )


def load_readable(record: ImageRecord, shape: tuple[int, int] | None) -> tuple[dict[int, str], Annotations]:
    """Load the annotations that can be read, and return the problems of the others by row."""
    try:
        return {}, record.load(shape)
    except CellprepError:
        faults = record.faults(shape)
        if not faults:
            raise
        return faults, record.without(faults).load(shape)


def _judge_pixels(record: ImageRecord, pixels: NDArray[Any], annotations: Annotations) -> Iterator[Finding]:
    height, width = annotations.runs.shape
    if pixels.shape[-2:] != (height, width):
        sizes = f"{pixels.shape[-2]} x {pixels.shape[-1]}, its annotations {height} x {width} (height x width)"
        note = f"{record.pixels} is {sizes}"
        yield Finding(record.image_id, "image-size", cell_type=annotations.cell_type, note=note)
    if pixels.min() == pixels.max():
        note = f"every pixel of {record.pixels} is {pixels.flat[0]}"
        yield Finding(record.image_id, "image-constant", cell_type=annotations.cell_type, note=note)
    if not all_finite(pixels):
        note = f"some pixels of {record.pixels} are NaN or infinite: no network can be trained on such an image"
        yield Finding(record.image_id, "image-nan", cell_type=annotations.cell_type, note=note)


def _judge_annotations(
    image_id: str, annotations: Annotations, areas: NDArray[np.integer], task: CheckTask
) -> Iterator[Finding]:
    thresholds = task.thresholds
    values, partners, twice = measure_annotations(annotations.runs, task.overlap, thresholds["duplicate"], areas)
    for rule, measured in values.items():
        for place in (measured >= thresholds.get(rule, 1)).nonzero()[0].tolist():
            partner = annotations.rows[partners[rule][place]] if rule in partners else None
            yield Finding(
                image_id,
                rule,
                row=annotations.rows[place],
                cell_type=annotations.cell_types[place],
                value=float(measured[place]) if rule in thresholds else None,
                note="" if partner is None else f"with row {partner}",
                partner=partner,
                area=int(annotations.runs.areas[place]),
            )
    if twice > thresholds["annotated-twice"]:
        yield Finding(image_id, "annotated-twice", cell_type=annotations.cell_type, value=twice)
