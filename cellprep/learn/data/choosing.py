"""The choice of images for training and for validation."""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from cellprep.errors import SourceError, StoreError, UsageError
from cellprep.formats.annotations.folds import read_folds, read_text
from cellprep.store import Store
from cellprep.store.entries import damaged_images
from cellprep.store.image_ids import composed
from cellprep.text.wording import count, printable

if TYPE_CHECKING:
    from pandas import DataFrame

_NAMED = 20  # names in a line; the rest are counted


def choose_images(
    store: Store,
    *,
    val_ids: Path | None = None,
    val_fraction: float = 0.2,
    folds: "Path | DataFrame | None" = None,
    fold: int | None = None,
    seed: int = 0,
    pixels: bool = True,
) -> tuple[list[str], list[str]]:
    """Choose the images to train on, and those to validate on.

    The share is drawn from the images with pixels, so that networks that see pixels and those that do not are
    validated on the same images. If no image has pixels, it is drawn from all.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    val_ids
        Text file of the ids to validate on, one a line; all others are used for training.
    val_fraction
        Share of the images to validate on if no file names them, drawn at random in equal proportion from each type
        of cells. With 0, no image is held out: both lists contain all images.
    folds
        CSV file from ``cellprep split``, or another table or data frame with its columns image and fold. Images
        that are in no fold are in neither list.
    fold
        The fold to validate on.
    seed
        Seed of the random choice, from 0.
    pixels
        Whether pixels are needed: images without pixels are then in neither list.

    Returns
    -------
    tuple of list of str
        The ids to train on and those to validate on, each sorted and not empty.

    Raises
    ------
    UsageError
        If no image is left for training or for validation, if pixels are needed but no image has them, or if the
        options contradict each other.
    SourceError
        If a file cannot be read, or names images that are not in the store.
    StoreError
        If the store has damaged images.
    """
    if (folds is None) != (fold is None):
        raise UsageError("a file of folds and the number of the validation fold belong together: give both")
    if val_ids is not None and folds is not None:
        raise UsageError("the validation images are given both by ids and by a fold: give only one of them")
    ids = all_images(store)
    with_pixels = [image_id for image_id in ids if "image" in store[image_id].arrays]
    if pixels and ids and not with_pixels:
        raise UsageError(
            f"no image of {store.path} has pixels: add them by running `build-targets SOURCE --images FOLDER` again; "
            "only wtn can be trained without pixels"
        )
    if folds is not None and fold is not None:
        fold_of, folds = read_folds(folds)
        _refuse_unknown(fold_of, ids, folds)
        chosen = {image_id for image_id, place in fold_of.items() if place == fold}
        if not chosen:
            raise UsageError(f"{folds} has no fold {fold}: it has {', '.join(map(str, sorted(set(fold_of.values()))))}")
        ids = sorted(fold_of)
    elif val_ids is not None:
        chosen = set(_read_ids(val_ids))
        _refuse_unknown(chosen, ids, val_ids)
    else:
        chosen = _draw(store, with_pixels or ids, val_fraction, seed)
    keeps_none = val_fraction == 0 and val_ids is None and folds is None
    if pixels:
        seen = set(with_pixels)
        chosen &= seen
        ids = [image_id for image_id in ids if image_id in seen]
    train = [image_id for image_id in ids if image_id not in chosen or keeps_none]
    if not chosen:
        raise UsageError(f"none of the {count(len(ids), 'image')} is left for validation")
    if not train:
        raise UsageError(f"none of the {count(len(ids), 'image')} is left for training")
    return train, sorted(chosen)


def all_images(store: Store) -> list[str]:
    """Return the ids of all images of a store, sorted.

    Raises
    ------
    StoreError
        If the store has damaged images.
    """
    ids = list(store)
    if damaged := damaged_images(store.path, set(ids)):
        raise StoreError(f"{store.path} has {count(len(damaged), 'damaged image')}: {_listed(damaged)}; "
                         "remove them with `verify --repair`, then build them again")  # fmt: skip
    return ids


def _draw(store: Store, ids: list[str], fraction: float, seed: int) -> set[str]:
    """Draw ids evenly from a list that is sorted by type and shuffled within a type; all of them for a share of 0."""
    if not 0 <= fraction < 1:
        raise UsageError(f"the share of validation images is {fraction}: it must be at least 0 and less than 1")
    if fraction == 0:
        return set(ids)
    if len(ids) < 2:
        raise UsageError(
            f"{store.path} has {count(len(ids), 'image')}: give two or more, or validate on the training images "
            "(--val-fraction 0)"
        )
    rng = np.random.default_rng(seed)
    types = {image_id: store[image_id].metadata.cell_type or "" for image_id in ids}
    order = sorted((ids[place] for place in rng.permutation(len(ids))), key=types.__getitem__)
    number = int(np.clip(round(fraction * len(ids)), 1, len(ids) - 1))
    places = np.floor((np.arange(number) + rng.random()) * len(ids) / number).astype(int)
    return {order[place] for place in places}


def _read_ids(path: Path) -> list[str]:
    return [composed(line.strip()) for line in read_text(path).splitlines() if line.strip()]


def _refuse_unknown(chosen: Iterable[str], ids: list[str], path: Path) -> None:
    if unknown := sorted(set(chosen) - set(ids)):
        raise SourceError(f"{path} names {count(len(unknown), 'image')} that are not in the store: {_listed(unknown)}")


def _listed(names: Iterable[str]) -> str:
    listed = [printable(name) for name in names]
    return ", ".join(listed[:_NAMED]) + (f" and {len(listed) - _NAMED:,} more" if len(listed) > _NAMED else "")
