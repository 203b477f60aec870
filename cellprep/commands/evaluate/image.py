"""Scoring one image: what a worker does."""

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
        What the readers of both sides say of it.
    by_class
        Whether cells are scored by class, too.
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
        Its category, as the truth has it.
    score
        Its score; None if it could not be scored.
    problem
        Why it could not.
    overlap
        The rule by which overlaps of the true cells had been resolved before, if they had.
    predicted_ignore
        Whether the prediction has regions to ignore, which mean nothing.
    ignored
        How much of the truth is ignored, if something was to be.
    classes
        Its scores by class, if they were asked for.
    shrink
        At 1/N of which size its predicted cells were scored, that of the true ones.
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
    """Load the annotations of both sides; a side that tells no size has that of the other, or of the image.

    Predicted cells of a whole image are brought to the size at which a store has the true ones. Classes that mark
    regions of the truth are no cells on either side.

    Raises
    ------
    CellprepError
        Naming the side, the place and the value at fault.
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
    """Return predicted cells at 1/N of their size, if the true ones are those of the same image at that size."""
    shape, by = predicted.runs.shape, truth.shrink
    if predicted.shrink > 1 or shape == truth.runs.shape or shrunk_shape(shape, by) != truth.runs.shape:
        return replace(predicted, shrink=1)
    return replace(predicted, runs=shrink_runs(predicted.runs, by), areas=None, ignore=None, shrink=by)


def _whole(record: ImageRecord | FaultyImage, side: str) -> ImageRecord:
    if isinstance(record, FaultyImage):
        raise AnnotationError(f"{side} cells: {record.problem}")
    return record
