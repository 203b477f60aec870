"""Options of training, available without torch."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any

from cellprep.errors import UsageError
from cellprep.learn.data.augmentation import AUGMENTATIONS, USUAL_AUGMENTATIONS, check_augmentations
from cellprep.learn.data.samples import MASKS
from cellprep.learn.networks.kind import NETWORKS, NetworkKind, find_kind, having
from cellprep.learn.normalisation import NORMALISATIONS
from cellprep.learn.settings import (
    END_TO_END_RATE,
    FINE_TUNING_EPOCHS,
    FINE_TUNING_RATE,
    FINE_TUNING_SAMPLES,
    Device,
    Precision,
)
from cellprep.system.options import Option, Quiet, documented, take_values

#: Stands for all networks, one after the other.
ALL = "all"

#: Stands for every fold, each with its own network.
ALL_FOLDS = -1

OPTIMISERS = ("adamw", "adam")
SCHEDULES = ("one-cycle", "constant")

#: Options of some networks only: see `NetworkKind.options`.
OF_SOME = ("mask", "background_cell", "encoder", "classes")

_EPOCHS = 50  # of a training from random weights

#: Stands for fine-tuning in the records of runs.
FINE_TUNING = "finetune"

#: Options determined by the weights for fine-tuning, and those that differ in a run of several networks.
DECIDED_BY_WEIGHTS = (
    *("network", "out", "resume", "init", "encoder", "arch", "base_channels"),
    *("mask", "background_cell", "normalisation"),
)

#: Options that may change when a run is resumed, as the result does not depend on them.
MAY_CHANGE = {"out", "device", "workers", "in_memory", "validation_instances", "resume", "tensorboard", "quiet"}

OnlyNetworks = Annotated[
    Sequence[str],
    Option("Network to train, repeatable; by default all in the weights", NETWORKS, group="Network"),
]

_DESCRIBED = {
    **{name: kind.about for name, kind in NETWORKS.items()},
    ALL: "all of these in turn, then a bundle of them and its scores on the validation images",
}
_ARCHITECTURES = {name: arch for kind in NETWORKS.values() for name, arch in kind.architectures.items()}
_MADE_OF = [f"for {kind.name}, those of a {' and of a '.join(kind.parts)}" for kind in NETWORKS.values() if kind.parts]


def _usual(name: str) -> str:
    """Describe the default of an option that depends on the network's architecture."""
    return ", ".join(f"{getattr(usual, name):g} for {arch}" for arch, usual in _ARCHITECTURES.items())


def _parse_fold(typed: Any) -> int:
    if typed == ALL:
        return ALL_FOLDS
    if not str(typed).isdecimal():
        raise UsageError(f"fold {typed!r} is not valid: give a number from 0, or {ALL}")
    return int(typed)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class TrainOptions:
    """The options of a training.

    Raises
    ------
    UsageError
        If a value is not valid, or two contradict each other.

    Examples
    --------
    >>> options = TrainOptions("dn", base_channels=32)
    >>> options.arch, options.base_channels, options.max_lr
    ('unet', 32, 0.003)
    """

    network: Annotated[
        str,
        Option(
            "; ".join(f"`{name}`: {what}" for name, what in _DESCRIBED.items()) + ".", _DESCRIBED, metavar="NETWORK"
        ),
    ] = field(kw_only=False)
    out: Annotated[
        Path | None,
        Option(
            "New folder for the run, with its weights, metrics and pictures.",
            usual="runs/NETWORK, with a number if that exists",
            group="Output",
        ),
    ] = None
    epochs: Annotated[
        int | None,
        Option(
            "Number of passes over the training images.",
            usual=f"{_EPOCHS}, {FINE_TUNING_EPOCHS} with --init",
            aliases=("--n-epochs",),
            group="Optimisation",
        ),
    ] = None
    samples_per_epoch: Annotated[
        int | None,
        Option(
            "Crops in an epoch.",
            usual=f"enough to cover the training images once; at least {FINE_TUNING_SAMPLES} with --init",
            group="Data",
        ),
    ] = None
    batch_size: Annotated[int, Option("Crops per step.", aliases=("--batch",), group="Optimisation")] = 8
    crop: Annotated[
        int, Option("Side of a crop, in pixels: a multiple of 16, 32 or more.", aliases=("--patch-size",), group="Data")
    ] = 256
    base_channels: Annotated[
        int | None,
        Option("Channels of the first layers, which scale all others.", usual=_usual("base_channels"), group="Network"),
    ] = None
    arch: Annotated[str, Option("Architecture of the network; by default unet", _ARCHITECTURES, group="Network")] = ""
    mask: Annotated[
        str,
        Option(
            f"Input mask of {having('mask')}; `cells` reveals the walls, `none` requires --background-cell",
            MASKS,
            group="Network",
        ),
    ] = "cells-and-walls"
    background_cell: Annotated[
        bool,
        Option(
            f"Train {having('background_cell', 'or')} on the whole image, with the background as a cell; "
            "the store must be built with this option, too.",
            group="Network",
        ),
    ] = False
    classes: Annotated[
        bool,
        Option(
            "Use the types of the cells as classes: semseg predicts the class of each cell; dn and wn take a mask of "
            "each class.",
            group="Network",
        ),
    ] = False
    augment: Annotated[
        tuple[str, ...],
        Option(
            f"Augmentation, repeatable; by default {', '.join(USUAL_AUGMENTATIONS)}; `none` for none",
            AUGMENTATIONS,
            parse=lambda names: tuple(name for name in names if name != "none"),
            group="Augmentation",
        ),
    ] = USUAL_AUGMENTATIONS
    ema: Annotated[
        float,
        Option(
            "Decay of an exponential moving average of the weights, such as 0.998; 0 = no average.",
            group="Optimisation",
        ),
    ] = 0.0
    normalisation: Annotated[
        str,
        Option(
            "Normalisation of the intensities",
            NORMALISATIONS,
            usual="dataset; with --init that of the weights",
            aliases=("--normalization",),
            group="Data",
        ),
    ] = ""
    init: Annotated[
        tuple[str, ...],
        Option(
            "Initial weights: a file, the folder of a run, or a bundle such as `nuclei` that contains the network; "
            f"{'; '.join(_MADE_OF)} (repeat the option).",
            metavar="WEIGHTS",
            aliases=("--pretrained-weights",),
            group="Network",
        ),
    ] = ()
    encoder: Annotated[
        Path | None,
        Option(f"VGG-16's weights in torchvision's layout, for the encoder of {having('encoder')}.", group="Network"),
    ] = None
    optimiser: Annotated[str, Option("Optimiser", OPTIMISERS, aliases=("--optimizer",), group="Optimisation")] = "adamw"
    schedule: Annotated[str, Option("Learning rate schedule", SCHEDULES, group="Optimisation")] = "one-cycle"
    max_lr: Annotated[
        float | None,
        Option(
            "Highest learning rate.",
            usual=f"{_usual('max_lr')}; with --init {FINE_TUNING_RATE:g}, {END_TO_END_RATE:g} for wn",
            aliases=("--lr", "--learning-rate"),
            group="Optimisation",
        ),
    ] = None
    weight_decay: Annotated[
        float | None, Option("Weight decay.", usual="0.01 with adamw, 0 with adam", group="Optimisation")
    ] = None
    patience: Annotated[
        int, Option("Stop after this many epochs without a lower validation loss; 0 = never.", group="Optimisation")
    ] = 0
    val_ids: Annotated[Path | None, Option("File of the validation images' ids, one per line.", group="Data")] = None
    val_fraction: Annotated[float, Option("Fraction of the images for validation.", group="Data")] = 0.1
    folds: Annotated[Path | None, Option("CSV file from `cellprep split`; requires --fold.", group="Data")] = None
    fold: Annotated[
        int | None,
        Option(
            "Fold of --folds to validate on; `all` trains one network per fold, with their runs in --out.",
            metavar="FOLD",
            parse=_parse_fold,
            group="Data",
        ),
    ] = None
    validation_instances: Annotated[
        int,
        Option(
            "Number of validation images whose instances are scored after each epoch, with true maps for all that the "
            "network does not predict; 0 = none.",
            group="Run",
        ),
    ] = 4
    seed: Annotated[int, Option("Random seed.", group="Optimisation")] = 0
    device: Device = "auto"
    precision: Precision = "auto"
    workers: Annotated[
        int, Option("Processes that load crops; -1 depends on the device.", aliases=("--num-workers",), group="Data")
    ] = -1
    in_memory: Annotated[bool, Option("Keep all training images in memory.", group="Data")] = False
    resume: Annotated[
        bool, Option("Resume the run in --out, or the newest run, with the options of that run.", group="Run")
    ] = False
    tensorboard: Annotated[bool, Option("Also write logs for TensorBoard.", group="Output")] = False
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self, but=("network", "arch"))
        check_augmentations(self.augment)
        for name in ("out", "encoder", "val_ids", "folds"):  # paths may be strings
            object.__setattr__(self, name, getattr(self, name) and Path(getattr(self, name)))
        object.__setattr__(self, "init", tuple(map(as_named, self.init)))
        if self.arch not in ("", *self.kind.architectures):
            raise UsageError(f"arch {self.arch!r} is unknown: use one of {', '.join(self.kind.architectures)}")
        self._fill_in()
        assert self.epochs is not None
        assert self.max_lr is not None
        assert self.weight_decay is not None
        least_of = {"epochs": 1, "batch_size": 1, "crop": 32}
        least_of |= {"patience": 0, "validation_instances": 0, "seed": 0, "workers": -1}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                words = name.replace("_", " ")
                raise UsageError(f"{words} is {getattr(self, name)}: give {least} or more")
        if not 0 <= self.ema < 1:
            raise UsageError(f"ema is {self.ema}: give at least 0 and less than 1")
        if not 0 < self.max_lr < 10 or not 0 <= self.weight_decay < 1:
            raise UsageError(
                f"the learning rate is {self.max_lr} and the weight decay {self.weight_decay}: "
                "give a rate above 0 and below 10, and a decay of at least 0 and below 1"
            )
        masked = having("mask")
        usual = {its.name: its.default for its in fields(self)}
        wrong = {name for name in {*OF_SOME} - {*self.kind.options} if getattr(self, name) != usual[name]}
        if wrong - {"classes"}:
            raise UsageError(f"only {masked} take a mask, the background as a cell and weights of an encoder")
        if wrong:
            raise UsageError(f"only {having('classes')} take --classes: omit it")
        if self.mask == "none" and not self.background_cell:
            raise UsageError(f"without a mask, {masked} need the background as a cell: give --background-cell, too")
        if self.mask == "none" and self.classes:
            raise UsageError(f"without a mask, {masked} take no classes: omit --classes, or give a mask")
        if self.encoder and self.init:
            raise UsageError("--encoder and --init both set the initial weights: give only one of them")

    @property
    def kind(self) -> NetworkKind:
        """The network."""
        return find_kind(self.network)

    def _fill_in(self) -> None:
        """Set the missing values; for a network with initial weights, these determine its settings."""
        known = self.kind.architectures
        arch = self.arch or ("published" if self.encoder and "encoder" in self.kind.options else self.kind.trained_with)
        rate = END_TO_END_RATE if self.kind.parts else FINE_TUNING_RATE
        defaults: dict[str, Any] = {
            "epochs": FINE_TUNING_EPOCHS if self.init else _EPOCHS,
            "max_lr": rate if self.init else known[arch].max_lr,
            "weight_decay": 1e-2 if self.optimiser == "adamw" else 0.0,
        }
        if not self.init:
            defaults |= {"arch": arch, "base_channels": known[arch].base_channels}
            defaults["normalisation"] = next(iter(NORMALISATIONS))
        for name, value in defaults.items():
            if getattr(self, name) in (None, ""):
                object.__setattr__(self, name, value)

    def to_dict(self, *, folders: bool = True) -> dict[str, Any]:
        """Return the options that the result depends on, as JSON values; without `folders`, only the names of paths."""
        values = asdict(self) | ({} if folders else {"init": tuple(map(Path, self.init))})
        unset = MAY_CHANGE | {name for name in ("ema", "classes") if not getattr(self, name)}  # older runs have none
        return {name: as_json(value, folders) for name, value in values.items() if name not in unset}


def as_named(weights: Path | str) -> str:
    """Return the string that names weights; that of a path differs from the name of any bundled weights."""
    text = str(weights)
    return f"./{text}" if isinstance(weights, Path) and weights.name == text else text


def as_json(value: Any, folders: bool = True) -> Any:
    """Return an option's value as a JSON value; without `folders`, only the names of paths."""
    if isinstance(value, tuple):
        return [as_json(item, folders) for item in value]
    if isinstance(value, Path):
        return str(value) if folders else value.name
    return value
