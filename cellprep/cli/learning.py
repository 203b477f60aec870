"""Commands that learn."""

from pathlib import Path
from typing import Annotated, Any

import typer

from cellprep.cli.door import app
from cellprep.cli.options import Data, Device, Precision, Quiet, Version, choice
from cellprep.cli.words import tell
from cellprep.learn import require_torch
from cellprep.learn.data.augmentation import AUGMENTATIONS
from cellprep.learn.data.samples import MASKS
from cellprep.learn.networks.kind import NETWORKS, having
from cellprep.learn.normalisation import NORMALISATIONS
from cellprep.learn.settings import FINE_TUNING_RATE
from cellprep.learn.training.options import ALL, OPTIMISERS, SCHEDULES, TrainOptions
from cellprep.store import open_store

_DESCRIBED = {
    **{name: kind.about for name, kind in NETWORKS.items()},
    ALL: "all of these in turn, then a bundle of them, and its scores on the validation images",
}
_ARCHITECTURES = {name: arch for kind in NETWORKS.values() for name, arch in kind.architectures.items()}
_MADE_OF = [f"for {kind.name}, those of a {' and of a '.join(kind.parts)}" for kind in NETWORKS.values() if kind.parts]


def _usual(name: str) -> str:
    """Describe the default of an option that depends on the network's architecture."""
    return ", ".join(f"{getattr(usual, name):g} for {arch}" for arch, usual in _ARCHITECTURES.items())


@app.command("train")
def train_command(
    context: typer.Context,
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="; ".join(f"`{name}`: {what}" for name, what in _DESCRIBED.items()),
            autocompletion=lambda: list(_DESCRIBED),
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(
            help="Folder of the run, for weights, figures and pictures; it must be new.",
            show_default="runs/NETWORK, or with a number behind it",
        ),
    ] = None,
    data: Data = Path("data.zarr"),
    epochs: Annotated[int, typer.Option(help="Number of passes over the training images.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Crops per step.")] = 8,
    crop: Annotated[int, typer.Option(help="Side of a crop, in pixels: a multiple of 16, 32 or more.")] = 256,
    base_channels: Annotated[
        int | None,
        typer.Option(
            help="Channels of the first layers, which scale all others.", show_default=_usual("base_channels")
        ),
    ] = None,
    arch: Annotated[
        str,
        choice(
            "Architecture of the network; unet unless given",
            *_ARCHITECTURES,
        ),
    ] = "",
    mask: Annotated[
        str,
        choice(
            f"Input mask of {having('mask')}; `cells` gives the walls away, `none` goes with --background-cell",
            *MASKS,
        ),
    ] = "cells-and-walls",
    background_cell: Annotated[
        bool,
        typer.Option(
            "--background-cell",
            help=f"Train {having('background_cell', 'or')} on the whole image, the background being a cell; "
            "the store must be built so.",
        ),
    ] = False,
    augment: Annotated[
        list[str] | None, choice("Augmentation, repeatable; all unless given, `none` for none", *AUGMENTATIONS)
    ] = None,
    normalisation: Annotated[str, choice("How intensities are normalised", *NORMALISATIONS)] = "dataset",
    init: Annotated[
        list[Path] | None, typer.Option(help=f"Weights to start from; {'; '.join(_MADE_OF)}: repeat it.")
    ] = None,
    encoder: Annotated[
        Path | None,
        typer.Option(help=f"VGG-16's weights in torchvision's layout, for the encoder of {having('encoder')}."),
    ] = None,
    optimiser: Annotated[str, choice("Optimiser", *OPTIMISERS)] = "adamw",
    schedule: Annotated[str, choice("Course of the learning rate", *SCHEDULES)] = "one-cycle",
    max_lr: Annotated[
        float | None,
        typer.Option(
            help="Highest learning rate.", show_default=f"{_usual('max_lr')}, {FINE_TUNING_RATE:g} with --init"
        ),
    ] = None,
    weight_decay: Annotated[
        float | None, typer.Option(help="Weight decay.", show_default="0.01 with adamw, 0 with adam")
    ] = None,
    patience: Annotated[
        int, typer.Option(help="Epochs without a lower validation loss after which to stop; 0 = never.")
    ] = 0,
    val_ids: Annotated[Path | None, typer.Option(help="File of the validation images' ids, one per line.")] = None,
    val_fraction: Annotated[float, typer.Option(help="Share of the images to validate on.")] = 0.1,
    folds: Annotated[Path | None, typer.Option(help="CSV that `cellprep split` wrote; give --fold, too.")] = None,
    fold: Annotated[int | None, typer.Option(help="The fold of --folds to validate on.")] = None,
    seed: Annotated[int, typer.Option(help="Random seed.")] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    workers: Annotated[int, typer.Option(help="Processes that load crops; -1 chooses by the device.")] = -1,
    in_memory: Annotated[bool, typer.Option("--in-memory", help="Keep the whole set in memory.")] = False,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on with the run in --out, or the newest run, with that run's options."),
    ] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write a record for TensorBoard, too.")] = False,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Train a network on a store: `semseg`, then `dn` and `wtn`, then `wn` from both; or `all` of them.

    Interrupted at any moment, the same command with `--resume` goes on, to the same weights.

    Example: `cellprep train dn --data data.zarr`
    """
    given: dict[str, Any] = {
        "epochs": epochs,
        "batch_size": batch_size,
        "crop": crop,
        "base_channels": base_channels,
        "arch": arch,
        "mask": mask,
        "background_cell": background_cell,
        "augment": tuple(AUGMENTATIONS if augment is None else [name for name in augment if name != "none"]),
        "normalisation": normalisation,
        "init": tuple(init or ()),
        "encoder": encoder,
        "optimiser": optimiser,
        "schedule": schedule,
        "max_lr": max_lr,
        "weight_decay": weight_decay,
        "patience": patience,
        "val_ids": val_ids,
        "val_fraction": val_fraction,
        "folds": folds,
        "fold": fold,
        "seed": seed,
        "device": device,
        "precision": precision,
        "workers": workers,
        "in_memory": in_memory,
        "tensorboard": tensorboard,
        "quiet": quiet,
    }
    if resume:  # the run's own options hold where nothing is typed
        given = {name: value for name, value in given.items() if _is_typed(context, name)}
    require_torch("cellprep train")
    from cellprep.learn.training import run, runs
    from cellprep.workflows.train_all import train_all

    store = open_store(data)
    if network == ALL:
        tell(train_all(store, out, resume=resume, **given), quiet)
        return
    if resume:
        options = runs.options_of(out or runs.choose_folder(network, resume=True), network, given)
    else:
        options = TrainOptions(network, out, **given)
    tell(run.train(store, options), quiet)


def _is_typed(context: typer.Context, name: str) -> bool:
    source = context.get_parameter_source(name)
    return source is not None and source.name == "COMMANDLINE"
