"""The plan of a training, made before it starts, so that problems are reported early."""

import hashlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from cellprep.core.targets import Recipe, sampled_targets
from cellprep.errors import UsageError
from cellprep.learn.appearance import AppearanceRange
from cellprep.learn.data.choosing import choose_images
from cellprep.learn.data.classes import Classes, refuse_unknown_classes, two_classes
from cellprep.learn.data.describing import describe_cells
from cellprep.learn.data.drawing import crops_of
from cellprep.learn.data.fitting import fit_normalisation
from cellprep.learn.data.samples import CropSettings
from cellprep.learn.data.training_set import TrainingSet
from cellprep.learn.normalisation import Normalisation
from cellprep.learn.pixel_size import learned_size
from cellprep.learn.settings import FINE_TUNING_SAMPLES, Decoding
from cellprep.learn.training.first import Origin, agreed_normalisation, find_origins
from cellprep.learn.training.instances import refuse_no_cells, refuse_semantic_masks
from cellprep.learn.training.options import TrainOptions
from cellprep.store import Store, StoredImage


@dataclass(frozen=True, slots=True)
class Plan:
    """The plan of a training.

    Attributes
    ----------
    train_ids, val_ids
        The training images and the validation images.
    recipe
        The recipe of the store's targets.
    normalisation
        The normalisation, fitted to the training images; None for a network that sees no images.
    crops
        The settings of the crops.
    classes
        The classes of cells; None without classes.
    data
        Digest of the images and their targets, for detecting changes.
    without_pixels
        Number of images of the store that are skipped because they have no pixels.
    appearance
        Appearance of the training cells; None for a network that sees no images.
    pixel_size
        Side of the training images' pixels, in micrometres; None if it is unknown, or varies.
    origins
        The initial weights; empty if these are random.
    """

    train_ids: list[str]
    val_ids: list[str]
    recipe: Recipe
    normalisation: Normalisation | None
    crops: CropSettings
    data: str
    without_pixels: int = 0
    appearance: AppearanceRange | None = None
    pixel_size: float | None = None
    origins: list[Origin] = field(default_factory=list)
    classes: Classes | None = None

    @property
    def validation_images(self) -> int:
        """Number of validation images that are not training images."""
        return len(set(self.val_ids).difference(self.train_ids))

    @property
    def decoding(self) -> Decoding:
        """The decoding of energy: that of the initial weights."""
        return self.origins[-1].weights.decoding if self.origins else Decoding()

    def to_dict(self) -> dict[str, Any]:
        """Return the values that must not change when a run is resumed, as JSON values."""
        return {
            "train_images": self.train_ids,
            "validation_images": self.val_ids,
            "recipe": self.recipe.to_dict(),
            "normalisation": self.normalisation and asdict(self.normalisation),
            "data": self.data,
            **({"classes": self.classes.names} if self.classes else {}),
        }


def make_plan(store: Store, options: TrainOptions) -> Plan:
    """Choose images, and check that the store has what the network needs.

    Raises
    ------
    UsageError
        If the options do not match the store or the initial weights.
    WeightsError
        If a file of initial weights cannot be read.
    """
    train_ids, val_ids, together = choose_and_check(store, options)
    origins = find_origins(options)
    names = learned_classes(store, options, origins, together)
    classes = Classes.of(store, train_ids, names) if names else None
    crops = CropSettings(
        crop=options.crop,
        augment=options.augment,
        mask=options.mask,
        samples_per_epoch=_samples(options, origins, together.images[: len(train_ids)]),
        seed=options.seed,
        in_memory=options.in_memory,
        classes=classes.names if classes else (),
        class_weights=classes.weights if classes else (),
    )
    normalisation, appearance, left_out = None, None, 0
    if options.kind.sees_images:
        normalisation = fit_normalisation(store, train_ids, agreed_normalisation(options, origins), together.channels)
        appearance = describe_cells(store, train_ids)
        left_out = sum("image" not in image.arrays for image in store.opened())
    data = _digest(store, train_ids + val_ids)
    recipe = replace(together.recipe, targets=Recipe().targets)  # other targets are not used
    size = learned_size(store[image_id] for image_id in train_ids)
    return Plan(train_ids, val_ids, recipe, normalisation, crops, data, left_out, appearance, size, origins, classes)


def learned_classes(
    store: Store, options: TrainOptions, origins: Sequence[Origin], together: TrainingSet
) -> tuple[str, ...]:
    """Return the names of a network's classes: those of the initial weights, otherwise all types in the store.

    Raises
    ------
    UsageError
        If the store's types are not those of the weights, or there are fewer than two.
    """
    if not options.classes:
        return ()
    for origin in origins:
        if known := origin.weights.settings.classes:
            refuse_unknown_classes(store, together.images, known, str(origin))
            return known
    return tuple(two_classes(store, together.images))


def _samples(options: TrainOptions, origins: list[Origin], images: Sequence[StoredImage]) -> int | None:
    """Return the number of crops in an epoch; None for enough to cover the images once."""
    begins_as_it_is = [origin.weights.settings.name for origin in origins] == [options.network]
    if options.samples_per_epoch or not begins_as_it_is:
        return options.samples_per_epoch
    usual = crops_of([image.shape for image in images], options.crop).sum()
    return FINE_TUNING_SAMPLES if usual < FINE_TUNING_SAMPLES else None


def choose_and_check(store: Store, options: TrainOptions) -> tuple[list[str], list[str], TrainingSet]:
    """Return the training images, the validation images, and the set of all, checked for a network.

    Raises
    ------
    UsageError
        As in `make_plan`.
    """
    train_ids, val_ids = choose_images(
        store,
        val_ids=options.val_ids,
        val_fraction=options.val_fraction,
        folds=options.folds,
        fold=options.fold,
        seed=options.seed,
        pixels=options.kind.sees_images,
    )
    channels = None if options.kind.sees_images else 0
    together = TrainingSet(store, train_ids + val_ids, channels, sampled_targets())
    recipe = together.recipe
    if "background_cell" in options.kind.options and options.background_cell != recipe.background_cell:
        raise UsageError(
            f"the background is a cell in {store.path}: train with --background-cell"
            if recipe.background_cell
            else f"the background is not a cell in {store.path}: build a store with `build-targets --background-cell`"
        )
    if options.classes and not options.init:  # otherwise the weights determine them
        two_classes(store, together.images)
    if options.kind.needs_cells:
        for ids, purpose in ((train_ids, "train"), (val_ids, "validate")):
            refuse_no_cells(store, ids, options.network, purpose)
        refuse_semantic_masks(store, train_ids, options.network)
    return train_ids, val_ids, together


def _digest(store: Store, image_ids: list[str]) -> str:
    built_from = (store[image_id].metadata.recipe for image_id in image_ids)
    return hashlib.sha256("\n".join(built_from).encode()).hexdigest()
