"""The images to predict and their masks: as requested, otherwise from what is in the working directory."""

import json
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from cellprep.errors import UsageError, WeightsError
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.learn.prediction.at_hand import DEFAULT_STORE, find_stores, find_weights_at_hand
from cellprep.learn.prediction.bundle import SEMANTIC, Bundle, find_weights
from cellprep.learn.prediction.inputs import InputImage, find_images
from cellprep.learn.prediction.masks import MaskFiles, MaskSource, StoredMasks
from cellprep.learn.training.runs import SETTINGS
from cellprep.system.places import as_place
from cellprep.text.wording import count, printable


@dataclass(frozen=True, slots=True)
class Given:
    """The inputs of a prediction.

    Attributes
    ----------
    images
        The images.
    masks
        The masks of cells; None where the semantic network predicts them.
    notes
        Lines that report choices made by default.
    """

    images: list[InputImage]
    masks: MaskSource | None
    notes: list[str] = field(default_factory=list)


def find_given(
    bundle: Bundle,
    images: Iterable[Path | str] | None,
    runs: list[Path],
    masks: Path | str | None,
    data: Path | str | None,
    *,
    of_one_scene: bool = False,
) -> Given:
    """Find the images and their masks.

    Parameters
    ----------
    bundle
        The networks.
    images
        Files, folders, globs, or stores. None means the images of the store `data` (by default ``data.zarr``) that all
        of the `runs` were validated on, or all of its images if there are no runs.
    runs
        Folders of the training runs whose weights are in the bundle.
    masks
        Label or mask images, or other annotations, used as masks of cells.
    data
        Store used as masks of cells.
    of_one_scene
        Whether one scene is read from each file.

    Raises
    ------
    UsageError
        If there are no images, or no masks of cells for them.
    ImageFileError, StoreError
        If images or masks cannot be found.
    """
    if images is not None:
        source = MaskFiles(masks) if masks else StoredMasks(as_place(data)) if data else None
        if source is None and bundle.semseg is None:
            raise UsageError(f"there is no mask of cells: {_masks_at_hand()}")
        inputs = find_images(images, of_one_scene=of_one_scene)
        return Given(inputs.images, source, [*inputs.notes, *(source.notes if source else [])])
    store = DEFAULT_STORE if data is None else as_place(data)
    if data is None and not CellprepStore.recognises(store):
        raise UsageError(f"there is no image to predict, and no store {store}: {_images_at_hand()}")
    found, note = _of_store(store, runs)
    if masks:
        told = MaskFiles(masks)
        return Given(found, told, [note, *told.notes])
    if bundle.semseg:
        return Given(found, None, [note])
    return Given(found, StoredMasks(store), [note, f"masks: from {store}, as there is no semantic network"])


def find_runs(places: Iterable[Path | str]) -> list[Path]:
    """Return the paths of weights that are folders of training runs, or files in such folders."""
    return [path for place in places for path in find_weights(place) if _settings(path).is_file()]


def _of_store(store: Path, runs: list[Path]) -> tuple[list[InputImage], str]:
    found = find_images([store]).images
    if not runs:
        return found, f"images: all {count(len(found), 'image')} of {store}"
    validated = [_validation_images(run) for run in runs]
    *others, last = map(str, runs)
    names = f"{', '.join(others)} and {last} were" if others else f"{last} was"
    chosen = set.intersection(*validated)
    if not chosen:
        raise UsageError(f"there is no image that {names} validated on: give the images to predict, or the whole store")
    missing = chosen - {image.id for image in found}
    if missing:
        raise UsageError(
            f"{store} does not contain {printable(min(missing))}, which {names} validated on: "
            "give the store of the training with --data, or the images to predict"
        )
    note = f"images: {count(len(chosen), 'image')} of {store} that {names} validated on"
    return [image for image in found if image.id in chosen], note


def _validation_images(run: Path) -> set[str]:
    try:
        return set(json.loads(_settings(run).read_text(encoding="utf-8"))["validation_images"])
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise WeightsError(f"{_settings(run)} is damaged: give the images to predict") from error


def _settings(weights: Path) -> Path:
    """Return the settings file of a run, given its folder or one of its weights files."""
    return (weights if weights.is_dir() else weights.parent) / SETTINGS


def _masks_at_hand() -> str:
    ways = "give --semseg-weights, --masks or --data, or a bundle with a semseg network"
    semantic = [f"--semseg-weights {its.name}" for its in find_weights_at_hand() if its.networks == (SEMANTIC,)]
    return "; at hand: ".join([ways, *_listed([*semantic, *(f"--data {store}" for store in find_stores())])])


def _images_at_hand() -> str:
    ways = "give image files, folders of them or a store, or --data"
    return "; at hand: ".join([ways, *_listed(map(str, find_stores()))])


def _listed(names: Iterable[str]) -> list[str]:
    """Return a list of one string that joins the names; an empty list if there are none."""
    text = ", ".join(names)
    return [text] if text else []
