"""Choice of the images to score: all, those of a fold, or those that both sides have."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from cellprep.errors import UsageError
from cellprep.formats.annotations.folds import read_folds
from cellprep.formats.annotations.source import Source
from cellprep.text.wording import capped, count, printable


def choose_images(
    predicted: Source,
    truth: Source,
    only: Sequence[str],
    folds: Path | str | None,
    fold: int | None,
    *,
    common: bool,
) -> tuple[tuple[str, ...], dict[str, list[str]]]:
    """Choose the images to score.

    Parameters
    ----------
    predicted, truth
        The two sides.
    only
        Ids to choose from; by default all.
    folds, fold
        The CSV written by ``cellprep split``, and the fold whose images are scored.
    common
        Whether to leave out images that are missing on one side.

    Returns
    -------
    tuple of str
        The ids; empty for all images.
    dict
        For each side, ``predictions`` and ``truth``, the images left out because they are missing on it.

    Raises
    ------
    UsageError
        If there is no such fold, only one of `folds` and `fold` is given, or no image is left.
    SourceError
        If the file of folds cannot be read.
    """
    if (folds is None) != (fold is None):
        raise UsageError("--folds and --fold require each other: give the file, and the number of the fold to score")
    chosen = list(only)
    if folds is not None:
        fold_of, file = read_folds(folds)
        if fold not in fold_of.values():
            known = ", ".join(map(str, sorted(set(fold_of.values()))))
            raise UsageError(f"{file} has no fold {fold}: it has {known}")
        chosen = [name for name, number in fold_of.items() if number == fold and (not only or name in only)]
        if not chosen:
            raise UsageError(f"none of the selected images is in fold {fold} of {file}")
    if not common:
        return tuple(chosen), {}
    ours, theirs = set(predicted.image_ids), set(truth.image_ids)
    asked = chosen or [*dict.fromkeys([*truth.image_ids, *predicted.image_ids])]
    both = [name for name in asked if name in ours and name in theirs]
    if not both:
        raise UsageError(f"{predicted.name} and {truth.name} have no images in common, so nothing was scored")
    sides = {"predictions": ours, "truth": theirs}
    return tuple(both), {side: [name for name in asked if name not in ids] for side, ids in sides.items()}


def notes_on_left_out(left_out: Mapping[str, Sequence[str]]) -> list[str]:
    """Return lines that count and list the images that are missing on a side.

    Examples
    --------
    >>> notes_on_left_out({"predictions": ["a", "b"], "truth": []})
    ['not scored, missing from the predictions: 2 images', '  a', '  b']
    """
    return [
        line
        for side, names in left_out.items()
        if names
        for line in (
            f"not scored, missing from the {side}: {count(len(names), 'image')}",
            *capped(map(printable, names), "image", "; list all with --json"),
        )
    ]
