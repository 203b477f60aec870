"""Upper bound of what each segmentation method can express: its targets decoded by its own decoder."""

from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Annotated, Any

from numpy.typing import NDArray

from cellprep.commands.roundtrip.image import ImageRoundtrip
from cellprep.core.cells import Cells, resolve_overlaps
from cellprep.core.scores import ImageScore, score_image
from cellprep.core.targets import FAMILIES, Family, Recipe, compute_targets, read_families
from cellprep.errors import AnnotationError, RecipeError
from cellprep.formats.annotations.record import FaultyImage, ImageRecord
from cellprep.system.executor import one_opencv_thread
from cellprep.system.options import Option

ALL = "all"
_DECODED = [name for name, kind in FAMILIES.items() if kind.decodes()]


def decoding_families(given: Any) -> tuple[Family, ...]:
    """Return families with their own decoder; a family may occur several times with different options.

    Parameters
    ----------
    given
        Targets as in `cellprep.Recipe`, or "all".

    Raises
    ------
    RecipeError
        If a family is unknown, or has no decoder.

    Examples
    --------
    >>> [str(family) for family in decoding_families("dwt")]
    ['dwt']
    """
    if given in (ALL, (ALL,)):
        return tuple(kind() for kind in FAMILIES.values() if kind.decodes())
    families = tuple(dict.fromkeys(read_families(given)))
    for family in families:
        if not family.decodes():
            known = ", ".join(name for name, kind in FAMILIES.items() if kind.decodes())
            raise RecipeError(f"targets {family.name} have no decoder: give some of {known}")
    return families


DecodingFamilies = Annotated[
    tuple[Family, ...],
    Option(
        "Compare methods instead: make the targets of each from the labels, and decode them. Give all, or names "
        "separated by commas, with options after colons (NAME:rays=64)",
        listed=_DECODED,
        metavar="all|NAME,...",
        parse=decoding_families,
    ),
]


@dataclass(frozen=True, slots=True)
class FamiliesTask:
    """One image, as its reader describes it, the recipe, and the families to compare."""

    record: ImageRecord | FaultyImage
    recipe: Recipe
    families: tuple[Family, ...]

    @property
    def image_id(self) -> str:
        """The image's name in the source."""
        return self.record.image_id


def decode_and_score_families(task: FamiliesTask) -> ImageRoundtrip:
    """Make, decode and score the targets of one image."""
    record = task.record
    if isinstance(record, FaultyImage):
        raise AnnotationError(record.problem)
    pixels = record.pixels.decode() if record.needs_shape and record.pixels else None
    annotations = record.load(None if pixels is None else (pixels.shape[-2], pixels.shape[-1]))
    cells = resolve_overlaps(annotations.runs, task.recipe.overlap, annotations.areas)
    return ImageRoundtrip(annotations.cell_type, score_families(cells, task.recipe, task.families, annotations.ignore))


def score_families(
    cells: Cells, recipe: Recipe, families: Iterable[Family], ignore: NDArray[Any] | None
) -> dict[str, ImageScore]:
    """Return the score of an image's decoded cells by family."""
    scores = {}
    with one_opencv_thread():
        for family in families:
            arrays = compute_targets(cells, replace(recipe, targets=(family,)))
            scores[str(family)] = score_image(family.decode(arrays), cells.labels, ignore)
    return scores
