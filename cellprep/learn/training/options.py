"""How a network is trained: what the command line offers, known without torch."""

from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from cellprep.errors import UsageError
from cellprep.learn.data.augmentation import AUGMENTATIONS
from cellprep.learn.data.samples import MASKS
from cellprep.learn.networks.kind import NetworkKind, find_kind, having
from cellprep.learn.settings import DEVICES, FINE_TUNING_RATE, PRECISIONS

#: What stands for all networks, one after the other.
ALL = "all"

OPTIMISERS = ("adamw", "adam")
SCHEDULES = ("one-cycle", "constant")

#: Options that only some networks have: see `NetworkKind.options`.
OF_SOME = ("mask", "background_cell", "encoder")

#: What a run may change when it goes on, because its result does not depend on it.
MAY_CHANGE = {"out", "device", "workers", "in_memory", "resume", "tensorboard", "quiet"}


@dataclass(frozen=True, slots=True)
class TrainOptions:
    """How a network is trained.

    Attributes
    ----------
    network
        A name in `cellprep.learn.networks.NETWORKS`.
    out
        Folder of the run; new, unless it is resumed. Unless given ``runs/NETWORK``, with a free number behind it if
        that is taken; and the newest run of the network there if it is resumed.
    epochs
        Number of passes over the training images.
    batch_size
        Crops per step.
    crop
        Side of a crop, in pixels, 32 or more: batch normalisation needs more than one value per channel at the
        lowest resolution.
    base_channels, arch
        As `cellprep.learn.NetworkSettings` has them; those of `init`, or else those that the network is trained with
        by default, unless given.
    mask
        Input mask of DN and WN: ``cells-and-walls``, ``cells``, or ``none`` with `background_cell`.
    background_cell
        Train on the whole image, the background being a cell of its own; the store must be built so.
    augment
        Names of augmentations.
    normalisation
        A name in `cellprep.learn.normalisation.NORMALISATIONS`.
    init
        Weights to start from: for ``wn`` those of a ``dn`` and a ``wtn``, or of a ``wn``.
    encoder
        File of VGG-16's weights, as torchvision lays them out, for the encoder of DN and WN.
    optimiser, schedule
        A name each in `OPTIMISERS` and `SCHEDULES`.
    max_lr
        The highest learning rate; unless given that of the architecture, or 1e-4 with `init`.
    weight_decay
        Decay of weights; 0.01 for ``adamw`` and 0 for ``adam`` unless given. ``adam`` adds it to the gradients.
    patience
        Epochs without a lower validation loss after which training stops; 0 = never.
    val_ids, val_fraction, folds, fold
        The validation images: a file of their ids; a share of the images; or a fold of a file that
        ``cellprep split`` wrote.
    seed
        Of everything random: first weights, choice of images, crops, augmentation, dropout.
    device, precision
        One each of `DEVICES` and `PRECISIONS`.
    workers
        Processes that load crops; -1 chooses by the device.
    in_memory
        Keep the whole set in memory.
    resume
        Go on with the run in `out`.
    tensorboard
        Write what TensorBoard shows as well.
    quiet
        Show no progress.

    Raises
    ------
    UsageError
        If a value is none that it can have, or two do not go together.

    Examples
    --------
    >>> options = TrainOptions("dn", base_channels=32)
    >>> options.arch, options.base_channels, options.max_lr
    ('unet', 32, 0.003)
    """

    network: str
    out: Path | None = None
    epochs: int = 50
    batch_size: int = 8
    crop: int = 256
    base_channels: int | None = None
    arch: str = ""
    mask: str = "cells-and-walls"
    background_cell: bool = False
    augment: tuple[str, ...] = tuple(AUGMENTATIONS)
    normalisation: str = "dataset"
    init: tuple[Path, ...] = ()
    encoder: Path | None = None
    optimiser: str = "adamw"
    schedule: str = "one-cycle"
    max_lr: float | None = None
    weight_decay: float | None = None
    patience: int = 0
    val_ids: Path | None = None
    val_fraction: float = 0.1
    folds: Path | None = None
    fold: int | None = None
    seed: int = 0
    device: str = "auto"
    precision: str = "auto"
    workers: int = -1
    in_memory: bool = False
    resume: bool = False
    tensorboard: bool = False
    quiet: bool = False

    def __post_init__(self) -> None:
        for name in ("out", "encoder", "val_ids", "folds"):  # paths may be texts
            object.__setattr__(self, name, getattr(self, name) and Path(getattr(self, name)))
        object.__setattr__(self, "init", tuple(map(Path, self.init)))
        if isinstance(self.init, (str, Path)):
            object.__setattr__(self, "init", (Path(self.init),))
        self._check_names()
        self._fill_in()
        assert self.max_lr is not None
        assert self.weight_decay is not None
        least_of = {"epochs": 1, "batch_size": 1, "crop": 32, "patience": 0, "seed": 0, "workers": -1}
        for name, least in least_of.items():
            if getattr(self, name) < least:
                words = name.replace("_", " ")
                raise UsageError(f"{words} {getattr(self, name)} is not possible: give {least} or more")
        if not 0 < self.max_lr < 10 or not 0 <= self.weight_decay < 1:
            raise UsageError(
                f"a rate of {self.max_lr} with a decay of {self.weight_decay} is not possible: "
                "give a rate above 0 and below 10, and a decay from 0 to below 1"
            )
        masked = having("mask")
        usual = {field.name: field.default for field in fields(self)}
        if any(getattr(self, name) != usual[name] for name in {*OF_SOME} - {*self.kind.options}):
            raise UsageError(f"a mask, the background as a cell and an encoder's weights belong to {masked} only")
        if self.mask == "none" and not self.background_cell:
            raise UsageError(f"without a mask {masked} see the background as a cell: give --background-cell, too")
        if self.encoder and self.init:
            raise UsageError("--encoder and --init both give the first weights: give one of them")

    @property
    def kind(self) -> NetworkKind:
        """The network."""
        return find_kind(self.network)

    def _fill_in(self) -> None:
        """Decide what is left open; of a network that starts from weights, these decide what it is."""
        known = self.kind.architectures
        arch = self.arch or ("published" if self.encoder else self.kind.trained_with)
        defaults: dict[str, Any] = {
            "max_lr": FINE_TUNING_RATE if self.init else known[arch].max_lr,
            "weight_decay": 1e-2 if self.optimiser == "adamw" else 0.0,
        }
        if not self.init:
            defaults |= {"arch": arch, "base_channels": known[arch].base_channels}
        for name, value in defaults.items():
            if getattr(self, name) in (None, ""):
                object.__setattr__(self, name, value)

    def _check_names(self) -> None:
        known = {
            "arch": ("", *self.kind.architectures),
            "mask": tuple(MASKS),
            "optimiser": OPTIMISERS,
            "schedule": SCHEDULES,
            "device": DEVICES,
            "precision": tuple(PRECISIONS),
        }
        for option, names in known.items():
            if getattr(self, option) not in names:
                valid = ", ".join(filter(None, names))
                raise UsageError(f"{option} {getattr(self, option)!r} is unknown: it is one of {valid}")

    def to_dict(self, *, folders: bool = True) -> dict[str, Any]:
        """Return what the result depends on, as JSON has it; of paths the names alone if others are to see it."""
        return {name: as_json(value, folders) for name, value in asdict(self).items() if name not in MAY_CHANGE}


def as_json(value: Any, folders: bool = True) -> Any:
    """Return an option's value as JSON has it; of paths the names alone if others are to see it."""
    if isinstance(value, tuple):
        return [as_json(item, folders) for item in value]
    if isinstance(value, Path):
        return str(value) if folders else value.name
    return value
