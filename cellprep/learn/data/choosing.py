"""Which images a network learns from, and which it is validated on."""

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

_NAMED = 20  # names in a line; more are counted


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

    The share is drawn from the images with pixels, so that networks that see images and those that see none are
    validated on the same ones; if no image has pixels, it is drawn from all.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    val_ids
        Text file of the ids to validate on, one a line; all others are trained on.
    val_fraction
        Share of the images to validate on, where no file names them: drawn at random, each type of cells its share.
        With 0 no image is kept apart: both lists hold all images.
    folds
        CSV that ``cellprep split`` wrote, or another table or a data frame with its columns image and fold. Images
        that are in no fold are in neither list.
    fold
        The fold to validate on.
    seed
        Of the random choice, from 0.
    pixels
        Whether pixels are needed: images without are then in neither list.

    Returns
    -------
    tuple of list of str
        The ids to train on and those to validate on, each sorted and not empty.

    Raises
    ------
    UsageError
        If the choice leaves nothing to train on or to validate on, no image has the pixels that are needed, or the
        options do not fit each other.
    SourceError
        If a file cannot be read, or names images that are not in the store.
    StoreError
        If the store has damaged images.
    """
    if (folds is None) != (fold is None):
        raise UsageError("a file of folds and the number of the fold to validate on belong together: give both")
    if val_ids is not None and folds is not None:
        raise UsageError("the images to validate on are given twice, by ids and by a fold: give one of both")
    ids = all_images(store)
    with_pixels = [image_id for image_id in ids if "image" in store[image_id].arrays]
    if pixels and ids and not with_pixels:
        raise UsageError(
            f"no image of {store.path} has pixels: run `build-targets SOURCE --images FOLDER` again, which adds them; "
            "of the networks, only wtn learns without"
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
        raise UsageError(f"none of the {count(len(ids), 'image')} is left to validate on")
    if not train:
        raise UsageError(f"none of the {count(len(ids), 'image')} is left to train on")
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
                         "`verify --repair` removes them, to be built again")  # fmt: skip
    return ids


def _draw(store: Store, ids: list[str], fraction: float, seed: int) -> set[str]:
    """Draw ids evenly from a list that is sorted by type, and in random order within a type; for a share of 0, all."""
    if not 0 <= fraction < 1:
        raise UsageError(f"{fraction} is no share of the images to validate on: give 0 or more and less than 1")
    if fraction == 0:
        return set(ids)
    if len(ids) < 2:
        raise UsageError(
            f"{store.path} has {count(len(ids), 'image')}: to train and to validate, give two or more, or validate on "
            "what is trained on (--val-fraction 0)"
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
        raise SourceError(f"{path} names {count(len(unknown), 'image')} that the store lacks: {_listed(unknown)}")


def _listed(names: Iterable[str]) -> str:
    listed = [printable(name) for name in names]
    return ", ".join(listed[:_NAMED]) + (f" and {len(listed) - _NAMED:,} more" if len(listed) > _NAMED else "")
