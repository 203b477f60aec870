"""Scoring of one image in a worker."""

from dataclasses import dataclass, replace

from cellprep.core.rle import shrink_runs
from cellprep.core.scores import ClassScores, ImageScore, score_classes, score_image
from cellprep.core.shrinking import shrunk_shape
from cellprep.errors import AnnotationError
from cellprep.formats.annotations.partial import Ignored
from cellprep.formats.annotations.record import Annotations, FaultyImage, ImageRecord


@dataclass(frozen=True, slots=True)
class EvaluationTask:
    """One image to score: small enough to send to another process.

    Attributes
    ----------
    predicted, truth
        The image, as the readers of both sides describe it.
    by_class
        Whether to score cells by class, too.
    """

    predicted: ImageRecord | FaultyImage
    truth: ImageRecord | FaultyImage
    by_class: bool = False

    @property
    def image_id(self) -> str:
        """The image's name in both sources."""
        return self.truth.image_id


@dataclass(frozen=True, slots=True)
class ImageEvaluation:
    """The outcome for one image.

    Attributes
    ----------
    image_id
        The image.
    cell_type
        Its type in the truth.
    score
        Its score; None if it could not be scored.
    problem
        Why it could not be scored.
    overlap
        The rule that already resolved the overlaps of the true cells, if any did.
    predicted_ignore
        Whether the prediction has regions to ignore, which have no effect.
    ignored
        How much of the truth is ignored, if it has regions to ignore.
    classes
        Its scores by class, if requested.
    shrink
        Factor N by which its predicted cells were reduced to the size of the true cells.
    """

    image_id: str
    cell_type: str = ""
    score: ImageScore | None = None
    problem: str = ""
    overlap: str | None = None
    predicted_ignore: bool = False
    ignored: Ignored | None = None
    classes: ClassScores | None = None
    shrink: int = 1


def evaluate_image(task: EvaluationTask) -> ImageEvaluation:
    """Score one image."""
    predicted, truth = load_both(task)
    sides, judged = (predicted.runs, truth.runs), (truth.ignore, predicted.scores)
    return ImageEvaluation(
        task.image_id,
        truth.cell_type,
        score_image(*sides, *judged),
        overlap=truth.overlap,
        predicted_ignore=predicted.ignore is not None,
        shrink=predicted.shrink,
        ignored=truth.ignored,
        classes=score_classes(*sides, predicted.cell_types, truth.cell_types, *judged) if task.by_class else None,
    )


def load_both(task: EvaluationTask) -> tuple[Annotations, Annotations]:
    """Load the annotations of both sides; a side of unknown size takes the size of the other side or of the image.

    Predicted cells of a whole image are reduced to the size of the true cells in a store. Classes that mark regions of
    the truth are not cells on either side.

    Raises
    ------
    CellprepError
        If a side cannot be read; the message has the side, the position and the invalid value.
    """
    predicted, truth = _whole(task.predicted, "predicted"), _whole(task.truth, "true")
    shape = None
    if predicted.needs_shape and truth.needs_shape and (pixels := truth.pixels or predicted.pixels):
        height, width = pixels.decode().shape[-2:]
        shape = (height, width)
    if truth.needs_shape:
        found = predicted.load(shape)
        known = truth.load(found.runs.shape)
    else:
        known = truth.load()
        found = predicted.load(known.runs.shape)
    return _at_size_of(known, found.without_classes(truth.partial.classes)), known


def _at_size_of(truth: Annotations, predicted: Annotations) -> Annotations:
    """Return predicted cells at 1/N of their size, if the true cells are of the same image at that size."""
    shape, by = predicted.runs.shape, truth.shrink
    if predicted.shrink > 1 or shape == truth.runs.shape or shrunk_shape(shape, by) != truth.runs.shape:
        return replace(predicted, shrink=1)
    return replace(predicted, runs=shrink_runs(predicted.runs, by), areas=None, ignore=None, shrink=by)


def _whole(record: ImageRecord | FaultyImage, side: str) -> ImageRecord:
    if isinstance(record, FaultyImage):
        raise AnnotationError(f"{side} cells: {record.problem}")
    return record
