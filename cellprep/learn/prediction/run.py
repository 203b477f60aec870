"""Predicting the instances of many images, one after the other."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
from tqdm import tqdm

from cellprep.errors import CellprepError, UsageError
from cellprep.learn.prediction.bundle import Bundle, load_bundle
from cellprep.learn.prediction.inputs import InputImage, find_images
from cellprep.learn.prediction.maps import find_instances, mean_sureness
from cellprep.learn.prediction.masks import MaskFiles, MaskSource, StoredMasks
from cellprep.learn.prediction.options import OutputOptions, PredictionOptions
from cellprep.learn.prediction.outputs import Prediction
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.prediction.report import PredictionReport
from cellprep.learn.prediction.writing import Encoded, PredictionWriter, prediction_writer
from cellprep.places import as_place
from cellprep.wording import unexpected

__all__ = ["predict"]


def predict(
    images: Iterable[Path | str],
    weights: Bundle | Path | str | Iterable[Path | str],
    out: Path | str,
    *,
    semseg_weights: Path | str | None = None,
    masks: Path | str | None = None,
    data: Path | str | None = None,
    outputs: OutputOptions | None = None,
    options: PredictionOptions | None = None,
) -> PredictionReport:
    """Predict the instances of images, and write them.

    What is at `out` is written aside and moved into place when it is whole. An image that fails stops no other;
    if all fail, nothing is written.

    Parameters
    ----------
    images
        Files, folders, globs, or stores.
    weights
        From `load_bundle`, or the files that it takes.
    out
        Folder to write, which must not exist, or be empty.
    semseg_weights
        File with the semantic network that tells where cells are; unless `weights` are a bundle that holds one.
    masks
        Folder of label or mask images, which tell where cells are, named by the images' ids.
    data
        Store whose true ``semseg`` tells where cells are, but not their walls, which would tell the instances.
    outputs
        What is written.
    options
        How it is predicted.

    Returns
    -------
    PredictionReport
        What became of every image. Failures of images are in it, not raised.

    Raises
    ------
    UsageError
        If the weights do not fit each other, or it is not clear what tells where cells are.
    WeightsError, ImageFileError, StoreError
        If weights, images or masks cannot be found or read.
    OutputError
        If `out` exists, or the disk takes no more.
    """
    outputs, options, out = outputs or OutputOptions(), options or PredictionOptions(), Path(out)
    if sum(place is not None for place in (semseg_weights, masks, data)) > 1:
        raise UsageError("--semseg-weights, --masks and --data all tell where cells are: give one of them")
    bundle = weights if isinstance(weights, Bundle) else load_bundle(weights, semseg_weights)
    source = MaskFiles(Path(masks)) if masks else StoredMasks(as_place(data)) if data else None
    if source is None and bundle.semseg is None:
        raise UsageError(
            "nothing tells where cells are: give --semseg-weights, --masks or --data, or a bundle that holds a semseg"
        )
    found = find_images(images)
    predictor = Predictor(bundle, options)
    report = PredictionReport(str(out), str(predictor.machine), total=len(found))
    with prediction_writer(out, outputs) as writer:
        for image in tqdm(found, unit=" image", disable=True if options.quiet else None, smoothing=0.1):
            try:
                encoded, cells, left_out = _predict(image, predictor, source, writer)
            except Exception as error:  # noqa: BLE001 - whatever happens to one image, the others are predicted
                report.failures[image.id] = _problem(error)
                continue
            writer.write(encoded)
            report.add(cells, left_out)
        if report.images:
            writer.publish()
    return report


def _predict(
    image: InputImage, predictor: Predictor, source: MaskSource | None, writer: PredictionWriter
) -> tuple[Encoded, int, int]:
    pixels = image.load()
    classes = source.find(image.id) if source else None
    wanted = writer.options
    maps = predictor.predict(pixels, classes, keep_uvec=wanted.maps is not None, keep_sureness=wanted.needs_scores)
    shown = np.asarray(pixels) if wanted.overlay else None
    del pixels  # which may take as much memory as its maps
    labels, left_out = find_instances(maps, predictor.decoding)
    scores = None if maps.sureness is None else mean_sureness(maps.sureness, labels)
    return writer.encode(Prediction(image.id, labels, scores), maps, shown), int(labels.max()), left_out


def _problem(error: Exception) -> str:
    if isinstance(error, CellprepError):
        return str(error)
    # torch raises RuntimeError of several kinds, of which only the words tell.
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "memory" in str(error)):
        return "there is not enough memory for it: a smaller --tile-size or --batch-size needs less"
    return unexpected(error)
