"""Measures of the cells of a store, predictions, labels or annotations, as a table with a row for each cell."""

import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from cellprep.commands.measure.image import MeasureTask, measure_image
from cellprep.commands.measure.options import MeasureOptions
from cellprep.commands.measure.pieces import Pieces
from cellprep.commands.measure.report import MeasureReport
from cellprep.core.label_images import as_numbers
from cellprep.errors import AnnotationError, OutputError, UsageError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.formats.annotations.source import Source
from cellprep.formats.images.file import Pixels
from cellprep.formats.images.planes import with_planes
from cellprep.formats.images.sizes import SizeReport
from cellprep.formats.label_images.arrays import ArrayPixels, by_id
from cellprep.formats.layouts.pairing import open_images, with_images
from cellprep.formats.readers import SourceLike, SourceOptions, as_source
from cellprep.formats.table_writer import check_table, write_table
from cellprep.system.executor import Failed, run_tasks
from cellprep.system.options import options_of, takes
from cellprep.system.places import is_place, local_path
from cellprep.text.wording import count, described, printable

if TYPE_CHECKING:
    from pandas import DataFrame

__all__ = ["MeasureOptions", "MeasureReport", "measure", "measure_to_file"]


@takes(SourceOptions, MeasureOptions)
def measure(
    what: SourceLike,
    images: Path | str | Any = None,
    options: MeasureOptions | None = None,
    **keywords: Any,
) -> "DataFrame":
    """Measure cells: sizes, shapes, neighbours, and intensities if there are images.

    Parameters
    ----------
    what
        A store, predictions, label images or annotations, as a path or opened; an array of labels, (H, W) integers,
        or a mapping of ids to such arrays; or a data frame of annotations.
    images
        Folder of image files; or arrays, (H, W) or (C, H, W), by id; or one such array for one array of labels.
    options
        What to measure, and how; or give fields by name.

    Returns
    -------
    DataFrame
        A row for each cell with pixels: ``image``, ``label``, ``row``, ``cell_type`` if any is known, and the columns
        of each property, in pixels and, if the pixel size is known, in micrometres. Failed images are left out with a
        warning; ``attrs["failures"]`` has the problem of each.

    Raises
    ------
    AnnotationError
        If no image can be measured.
    CellprepError
        If `what` or the images cannot be opened.

    Examples
    --------
    >>> import numpy as np
    >>> labels = np.array([[1, 1, 0, 2], [1, 1, 0, 2]])
    >>> measure(labels, properties=["area", "nearest_distance"], pixel_size=0.5)[["label", "area", "area_um2"]]
       label  area  area_um2
    0      1   4.0       1.0
    1      2   2.0       0.5
    """
    from pandas import concat

    source, keywords = as_source(what, keywords, "what")
    options = options_of(MeasureOptions, options, keywords if images is None else {"images": images, **keywords})
    report = MeasureReport()
    with Pieces(options.chosen) as pieces:
        _measure_all(source, options, pieces, report)
        if report.failures and not report.images:
            name, problem = next(iter(report.failures.items()))
            raise AnnotationError(f"{name}: {problem}" if name else problem)
        table = concat(pieces.frames(), ignore_index=True)
    if report.failures:
        warnings.warn("\n".join(report.errors()), stacklevel=3)
        table.attrs["failures"] = report.failures
    return table


@takes(SourceOptions, MeasureOptions)
def measure_to_file(
    source: SourceLike, out: Path | str, options: MeasureOptions | None = None, **keywords: Any
) -> MeasureReport:
    r"""Measure cells, and write the table; memory use does not grow with the number of images.

    Parameters
    ----------
    source
        As in `measure`.
    out
        The table to write: ``.csv``, ``.tsv`` or ``.parquet``. An existing file is replaced when the table is complete.
    options
        What to measure, and how; or give fields by name.

    Returns
    -------
    MeasureReport
        The outcome of every image. Failed images are reported, not raised; if all fail, nothing is written.

    Raises
    ------
    UsageError
        If the file type of `out` is unknown, or a selected image is not in the source.
    OutputError
        If `out` cannot be written.
    MissingExtraError
        If `out` is a Parquet file and pyarrow is not installed.

    Examples
    --------
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     csv, out = Path(folder, "train.csv"), Path(folder, "cells.csv")
    ...     _ = csv.write_text("id,annotation,width,height\n0e12,8 2 14 2,6,5\n0e12,9 3,6,5")
    ...     report = measure_to_file(csv, out, properties=["area"])
    ...     print(out.read_text())
    image,label,row,area
    0e12,1,2,3.0
    0e12,2,3,3.0
    <BLANKLINE>
    """
    source, keywords = as_source(source, keywords)
    options, out = options_of(MeasureOptions, options, keywords), local_path(out)
    check_table(out)
    report = MeasureReport(str(out), sizes=SizeReport(options.pixel_size))
    try:
        with Pieces(options.chosen, out.resolve().parent) as pieces:
            _measure_all(source, options, pieces, report)
            if report.images:
                report.columns = list(pieces.columns())
                write_table(out, pieces.frames())
    except OSError as error:  # the disk is full
        raise OutputError(f"cannot write {out}: {error.strerror or error}") from error
    return report


def _measure_all(source: Source, options: MeasureOptions, pieces: Pieces, report: MeasureReport) -> None:
    ids = source.image_ids
    if unknown := sorted(set(options.only).difference(ids)):
        raise UsageError(f"image {unknown[0]!r} is not in {source.name}")
    total = len(set(options.only)) or len(ids)
    jobs = 1 if total == 1 else options.jobs
    outcomes = run_tasks(
        measure_image, _tasks(source, options), done="measured", jobs=jobs, total=total, quiet=options.quiet
    )
    with closing(outcomes):
        for task, found in outcomes:
            report.add(task.record.image_id, found)
            if not isinstance(found, Failed):
                pieces.add(task.number, found)
    place = {image_id: k for k, image_id in enumerate(ids)}
    report.rows.sort(key=lambda row: place[row["image"]])
    report.failures = dict(sorted(report.failures.items(), key=lambda item: place[item[0]]))
    report.sizes.sort(place)


def _tasks(source: Source, options: MeasureOptions) -> Iterator[MeasureTask]:
    wanted = set(options.only)
    for number, record in enumerate(_with_pixels(source, options)):
        if not wanted or record.image_id in wanted:
            yield MeasureTask(number, record, options.chosen, options.overlap, options.pixel_size, options.needs_images)


def _with_pixels(source: Source, options: MeasureOptions) -> Iterable[ImageRecord | FaultyImage]:
    """Return the images of a source with their pixels: from the source itself, a folder, or a mapping of ids."""
    images = options.images
    if images is None or is_place(images):
        folder = open_images(source, cast("Path | str | None", images))
        return with_images(source, folder, options.orientation, options.planes)
    if not isinstance(images, Mapping):
        if len(source.image_ids) != 1:
            raise UsageError(
                f"images is {described(images)}, and {source.name} has {count(len(source.image_ids), 'image')}: "
                "give a folder, or {id: image}"
            )
        right = "(H, W) or (C, H, W), a folder of files, or arrays by id"
        pixels = {source.image_ids[0]: _in_memory(images, "images", right)}
    else:
        pixels = {
            image_id: _in_memory(image, f"image {printable(image_id)}", "numbers, (H, W) or (C, H, W)")
            for image_id, image in by_id(images).items()
        }
    if strangers := sorted(pixels.keys() - set(source.image_ids)):
        raise UsageError(f"image {strangers[0]!r} has no labels in {source.name}")
    return (
        record
        if isinstance(record, FaultyImage) or record.image_id not in pixels
        else replace(record, pixels=with_planes(pixels[record.image_id], options.planes))
        for record in with_images(source, None, options.orientation)
    )


def _in_memory(given: Any, name: str, right: str) -> Pixels:
    """Return an array as pixels; anything that can be decoded is returned unchanged."""
    if hasattr(given, "decode"):
        return cast("Pixels", given)
    image = as_numbers(given, name, right)
    if image.ndim not in (2, 3):
        raise UsageError(f"{name} must be {right}, not {described(image)}")
    return ArrayPixels(image)
