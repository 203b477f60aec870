"""Predicting the instances of many images."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from cellprep.errors import CellprepError, UsageError
from cellprep.formats.images.file import ImageFile, fitting, how_turned
from cellprep.formats.images.pixel_size import Sides, side_of
from cellprep.formats.images.sizes import SizeReport
from cellprep.learn.appearance import Appearance, measure_appearance, sample_pixels
from cellprep.learn.prediction.bundle import Bundle, load_bundle
from cellprep.learn.prediction.diameter import look_first
from cellprep.learn.prediction.given import Given, find_given, find_runs
from cellprep.learn.prediction.inputs import InputImage
from cellprep.learn.prediction.instances import Instances, find_typed_instances
from cellprep.learn.prediction.maps import BACKGROUND, count_pixels, mean_confidence
from cellprep.learn.prediction.masks import MaskSource
from cellprep.learn.prediction.options import (
    DEFAULT_WEIGHTS,
    MaskOptions,
    OutputOptions,
    PredictionOptions,
    known_classes,
    refuse_instances,
)
from cellprep.learn.prediction.outputs import Prediction
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.report import PredictionReport
from cellprep.learn.prediction.scaling import CellScales, ScaleReport
from cellprep.learn.prediction.unlike import UnlikeImages
from cellprep.learn.prediction.writing import MAPS_OF_VECTORS, Encoded, PredictionWriter, prediction_writer
from cellprep.learn.training.pictures import has_matplotlib
from cellprep.store import Store, store_place
from cellprep.system.options import Only, options_of, parted, takes
from cellprep.system.output import free_name
from cellprep.system.places import is_place, local_path
from cellprep.system.progress import progress_bar, say_first
from cellprep.text.wording import count, described, printable, unexpected

_OUT = Path("predictions")


@takes(MaskOptions, OutputOptions, PredictionOptions)
def predict(
    images: Store | Path | str | Iterable[Path | str] | None = None,
    out: Path | str | None = None,
    weights: Bundle | Path | str | Iterable[Path | str] = DEFAULT_WEIGHTS,
    *,
    only: Only = (),
    outputs: OutputOptions | None = None,
    options: PredictionOptions | None = None,
    **keywords: Any,
) -> PredictionReport:
    """Predict and write the instances of images; for a ``dn`` alone, its vectors.

    Results are moved to `out` when they are complete. If an image fails, the others are still predicted; if all fail,
    nothing is written.

    Parameters
    ----------
    images
        One or several files, folders, globs, or stores. None means the images of the store `data`, by default
        ``data.zarr`` in this folder: those that `weights` were validated on if these are folders of runs, otherwise
        all.
    out
        Output folder, which must not exist, or must be empty; by default ``predictions``, with a number if that
        exists.
    weights
        From `load_bundle`, or files or names as it takes them; by default the bundled weights for fluorescent nuclei.
    only
        Ids of the images to predict; by default all.
    outputs
        The options of the outputs.
    options
        The options of the prediction.
    **keywords
        The source of masks (``semseg_weights``, ``masks`` or ``data``, a store), and fields of `OutputOptions` and
        `PredictionOptions` by name, such as ``to="coco"`` or ``tta=True``.

    Returns
    -------
    PredictionReport
        The result of every image, including failures, which are not raised.

    Raises
    ------
    UsageError
        If the weights do not match each other, there are no images, or not the requested ones, or there are no masks,
        or several sources of masks.
    WeightsError, ImageFileError, StoreError
        If weights, images or masks are not found or cannot be read.
    OutputError
        If `out` exists, or the disk is full.
    """
    of_masks, others = parted(keywords, MaskOptions)
    told = options_of(MaskOptions, None, of_masks)
    of_outputs, others = parted(others, OutputOptions)
    outputs = options_of(OutputOptions, outputs, of_outputs)
    options = options_of(PredictionOptions, options, others)
    folder = None if out is None else local_path(out)
    data = None if told.data is None else store_place(told.data)
    if sum(place is not None for place in (told.semseg_weights, told.masks, data if images is not None else None)) > 1:
        raise UsageError("--semseg-weights, --masks and --data are all sources of masks: give only one of them")
    places = None if images is None else _places(images)
    bundle, runs = _load(weights, told.semseg_weights)
    if not bundle.tells_instances:
        refuse_instances(outputs, options)
    is_one_scene = options.planes.scene is not None
    given = find_given(bundle, places, runs, told.masks, data, of_one_scene=is_one_scene)
    if only:
        given = _chosen(given, only)
    known_classes(outputs.classes, bundle.types)
    out = folder or free_name(_OUT)
    predictor = Predictor(bundle, options)
    report = _begin_report(out, predictor, given)
    report.classes = bundle.types if bundle.tells_instances else ()
    if not bundle.tells_instances:
        report.vectors = _words_on_vectors(out, outputs)
    if not options.quiet:
        say_first(f"{count(len(given.images), 'image')} on {predictor.machine}, to {out}")
    with (
        prediction_writer(
            out, outputs, vectors=not bundle.tells_instances, planes=options.planes, types=report.classes
        ) as writer,
        progress_bar(len(given.images), "image", quiet=options.quiet) as bar,
    ):
        for image in given.images:
            try:
                image = image.read_as(options.orientation, options.planes)  # noqa: PLW2901
                predicted = _predict(image, predictor, given.masks, writer)
            except Exception as error:  # noqa: BLE001 - a failure of one image must not stop the others
                report.failures[image.id] = _problem(error)
            else:
                writer.write(predicted.encoded)
                _take(report, image, predicted, options)
            bar.update()
        if report.images:
            writer.write_record(report.pixels, report.scales)
            writer.write_images(report.rows)
            writer.publish()
    return report


def _take(report: PredictionReport, image: InputImage, predicted: "_Predicted", options: PredictionOptions) -> None:
    """Add a predicted image to the report."""
    found = predicted.instances
    report.add(
        image.id,
        found.count if found else 0,
        found.left_out if found else 0,
        predicted.has_mask,
        found.type_names if found else None,
        predicted.of_other_classes,
    )
    report.turned[image.id] = predicted.turned
    if image.pixels:
        report.pixels[image.id] = image.pixels
    report.sizes.add(image.id, options.pixel_size or side_of(predicted.sides), predicted.sides)
    is_known = bool(options.pixel_size or predicted.sides)
    report.scales.add(image.id, predicted.encoded.scale, is_known=is_known, cells=predicted.diameter)
    if predicted.appearance:
        report.unlike.add(image.id, predicted.appearance)


def _begin_report(out: Path, predictor: Predictor, given: Given) -> PredictionReport:
    """Return the report on images to predict."""
    bundle, options = predictor.bundle, predictor.options
    several = [f"weights: {', '.join(bundle.names)}; those of the same kind are averaged"] if bundle.more else []
    notes = [*several, *given.notes, *([f"images: {options.planes}"] if options.planes else [])]
    report = PredictionReport(str(out), str(predictor.machine), len(given.images), notes)
    report.unlike = UnlikeImages(bundle.appearance)
    report.sizes = SizeReport(options.pixel_size, advice="")
    report.scales = ScaleReport(bundle.pixel_size, bundle.shrink)
    if options.diameter and bundle.diameter:
        told = None if options.diameter == "auto" else options.diameter
        report.scales.of_cells = CellScales(bundle.diameter, told)
    return report


def _load(weights: Bundle | Path | str | Iterable[Path | str], semseg: Path | str | None) -> tuple[Bundle, list[Path]]:
    """Load weights, and return those of their paths that are folders of runs."""
    if isinstance(weights, Bundle):
        return weights, []
    given = weights if isinstance(weights, (str, Path)) or not isinstance(weights, Iterable) else [*weights]
    bundle = load_bundle(given, semseg)  # refuses other types
    places = [given] if isinstance(given, (str, Path)) else given
    return bundle, find_runs(places if semseg is None else [*places, semseg])


def _chosen(given: Given, only: Sequence[str]) -> Given:
    """Return the requested images only."""
    if unknown := set(only).difference(image.id for image in given.images):
        raise UsageError(f"image {printable(min(unknown))} is not among the images to predict")
    images = [image for image in given.images if image.id in only]
    return replace(given, images=images, notes=[*given.notes, f"{len(images):,} of these are selected"])


def _words_on_vectors(out: Path, outputs: OutputOptions) -> list[str]:
    lines = [
        f"maps: {outputs.maps or out / MAPS_OF_VECTORS} (Zarr)",
        "a dn alone only predicts vectors; for cells, also give the weights of a wtn, or use those of a wn",
    ]
    return (
        lines if has_matplotlib() else [*lines, "no pictures, as matplotlib is missing: pip install 'cellprep[plot]'"]
    )


@dataclass(frozen=True, slots=True)
class _Predicted:
    """A predicted image with its numbers for the report, fewer without instances."""

    encoded: Encoded
    has_mask: bool
    sides: Sides | None = None
    turned: str = ""
    instances: Instances | None = None
    of_other_classes: int = 0
    appearance: Appearance | None = None
    diameter: float | None = None


def _predict(
    image: InputImage, predictor: Predictor, source: MaskSource | None, writer: PredictionWriter
) -> _Predicted:
    pixels = decoded = image.load()
    classes = source.find(image, decoded.shape[1:]) if source else None
    needed = predictor.types_needed
    types = source.find_types(image, needed) if source and needed else None
    if classes is not None and isinstance(image.pixels, ImageFile):
        fitted = fitting(image.pixels, decoded, classes.shape)
        pixels = fitted if fitted.ndim == 3 else fitted[None]
    turned = how_turned(image.pixels, decoded, pixels) if image.pixels else ""
    del decoded
    wanted, instances = writer.options, predictor.bundle.tells_instances
    sides = image.pixels.sides() if image.pixels else None
    scale = predictor.scale(pixels, sides, image.shrunk)
    keep = {
        "keep_uvec": wanted.maps is not None or not instances,
        "keep_confidence": wanted.needs_scores and instances,
    }
    maps = diameter = None
    if predictor.options.diameter == "auto":
        scale, maps, diameter = look_first(predictor, pixels, classes, scale, types, **keep)
    seen = scale.image(pixels) if scale else pixels
    if maps is None:
        told = [scale.classes_of(known) if scale and known is not None else known for known in (classes, types)]
        maps = predictor.predict(seen, told[0], told[1], **keep)
    has_mask = bool((maps.classes != BACKGROUND).any())
    if not instances:
        encoded = writer.encode_vectors(image.id, maps, seen if has_matplotlib() else None, scale)
        return _Predicted(encoded, has_mask, sides, turned)
    shown = np.asarray(pixels) if wanted.overlay else None
    sampled = sample_pixels(seen) if predictor.bundle.appearance else None
    del pixels, seen  # they may take as much memory as the maps
    found = find_typed_instances(maps, predictor.decoding_at(scale))
    scores = None if maps.confidence is None else mean_confidence(maps.confidence, found.labels)
    appearance = measure_appearance(sampled, found.labels, count_pixels(found.labels)[1:]) if sampled else None
    if scale:
        found, kept = found.at_scale_of_image(scale)
        scores = None if scores is None else scores[kept - 1]
    before = found.count
    if wanted.classes:
        found, kept = found.of_types(known_classes(wanted.classes, predictor.bundle.types))
        scores = None if scores is None else scores[kept - 1]
    size = predictor.options.pixel_size or side_of(sides)
    prediction = Prediction(image.id, found.labels, scores, image.pixels, size, found.type_names, found.type_scores)
    encoded = writer.encode(prediction, maps, shown, scale)
    return _Predicted(encoded, has_mask, sides, turned, found, before - found.count, appearance, diameter)


def _places(images: Any) -> list[Path | str]:
    """Return one or several places of images as a list."""
    places = [images] if is_place(images) or not isinstance(images, Iterable) else images
    places = [images.path] if isinstance(images, Store) else list(places)
    if not all(map(is_place, places)):
        raise UsageError(f"images is {described(images)}: give paths, or a store; cellprep.learn.segment takes arrays")
    return places


def _problem(error: Exception) -> str:
    if isinstance(error, CellprepError):
        return str(error)
    # torch raises RuntimeError for many problems, which only the message distinguishes.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error)):
        return "there is not enough memory for it: use a smaller --tile-size or --batch-size"
    return unexpected(error)
