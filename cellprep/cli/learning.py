"""Commands that learn."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.door import app
from cellprep.cli.options import Data, Device, Precision, Quiet, Version, choice
from cellprep.cli.words import tell
from cellprep.learn import require_torch
from cellprep.learn.data.augmentation import AUGMENTATIONS
from cellprep.learn.data.samples import MASKS
from cellprep.learn.normalisation import NORMALISATIONS
from cellprep.learn.settings import ARCHITECTURES, NETWORKS
from cellprep.learn.training.options import OPTIMISERS, SCHEDULES, TrainOptions
from cellprep.store import open_store


@app.command("train")
def train_command(
    network: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK",
            help="; ".join(f"`{name}`: {what}" for name, what in NETWORKS.items()),
            autocompletion=lambda: list(NETWORKS),
        ),
    ],
    out: Annotated[Path, typer.Option(help="Folder of the run, for weights, figures and pictures; it must be new.")],
    data: Data = Path("data.zarr"),
    epochs: Annotated[int, typer.Option(help="How often the images are gone through.")] = 50,
    batch_size: Annotated[int, typer.Option(help="Crops per step.")] = 8,
    crop: Annotated[int, typer.Option(help="Side of a crop, in pixels: a multiple of 16, 32 or more.")] = 256,
    base_channels: Annotated[
        int | None,
        typer.Option(
            help="Channels of the first layers, which scale the others; 64, as published, unless given. "
            "16 or 32 train on a CPU.",
            show_default=False,
        ),
    ] = None,
    arch: Annotated[
        str,
        choice(
            "Body of the network; as published unless given, but semseg is a unet",
            *dict.fromkeys(sum(ARCHITECTURES.values(), ())),
        ),
    ] = "",
    mask: Annotated[str, choice("Input mask of dn and wn; `cells` gives the walls away", *MASKS)] = "cells-and-walls",
    background_cell: Annotated[
        bool,
        typer.Option(
            "--background-cell",
            help="Train dn or wn on the whole image, the background being a cell; the store must be built so.",
        ),
    ] = False,
    augment: Annotated[
        list[str] | None, choice("Augmentation, repeatable; all unless given, `none` for none", *AUGMENTATIONS)
    ] = None,
    normalisation: Annotated[str, choice("How grey values are normalised", *NORMALISATIONS)] = "dataset",
    init: Annotated[
        list[Path] | None, typer.Option(help="Weights to start from; for wn, those of a dn and of a wtn: repeat it.")
    ] = None,
    encoder: Annotated[
        Path | None, typer.Option(help="VGG-16's weights in torchvision's layout, for the encoder of dn and wn.")
    ] = None,
    optimiser: Annotated[str, choice("Optimiser", *OPTIMISERS)] = "adamw",
    schedule: Annotated[str, choice("Course of the learning rate", *SCHEDULES)] = "one-cycle",
    max_lr: Annotated[float, typer.Option(help="Highest learning rate; 1e-4 to fine-tune.")] = 1e-3,
    weight_decay: Annotated[float, typer.Option(help="Decay of weights, of adamw.")] = 1e-2,
    patience: Annotated[
        int, typer.Option(help="Epochs without a lower validation loss after which to stop; 0 = never.")
    ] = 0,
    val_ids: Annotated[Path | None, typer.Option(help="File of the validation images' ids, one per line.")] = None,
    val_fraction: Annotated[float, typer.Option(help="Share of the images to validate on.")] = 0.1,
    folds: Annotated[Path | None, typer.Option(help="CSV that `cellprep split` wrote; give --fold, too.")] = None,
    fold: Annotated[int | None, typer.Option(help="The fold of --folds to validate on.")] = None,
    seed: Annotated[int, typer.Option(help="Of all that is random.")] = 0,
    device: Device = "auto",
    precision: Precision = "auto",
    workers: Annotated[int, typer.Option(help="Processes that load crops; -1 chooses by the device.")] = -1,
    in_memory: Annotated[bool, typer.Option("--in-memory", help="Keep the whole set in memory.")] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the interrupted run in --out.")] = False,
    tensorboard: Annotated[bool, typer.Option("--tensorboard", help="Write a record for TensorBoard, too.")] = False,
    quiet: Quiet = False,
    version: Version = False,
) -> None:
    """Train a network on a store: `semseg`, then `dn` and `wtn`, then `wn` from both.

    Interrupted at any moment, the same command with `--resume` goes on, to the same weights.

    Example: `cellprep train dn --data data.zarr --base-channels 16 --out runs/dn`
    """
    options = TrainOptions(
        network=network,
        out=out,
        epochs=epochs,
        batch_size=batch_size,
        crop=crop,
        base_channels=base_channels,
        arch=arch,
        mask=mask,
        background_cell=background_cell,
        augment=tuple(AUGMENTATIONS if augment is None else [name for name in augment if name != "none"]),
        normalisation=normalisation,
        init=tuple(init or ()),
        encoder=encoder,
        optimiser=optimiser,
        schedule=schedule,
        max_lr=max_lr,
        weight_decay=weight_decay,
        patience=patience,
        val_ids=val_ids,
        val_fraction=val_fraction,
        folds=folds,
        fold=fold,
        seed=seed,
        device=device,
        precision=precision,
        workers=workers,
        in_memory=in_memory,
        resume=resume,
        tensorboard=tensorboard,
        quiet=quiet,
    )
    require_torch("cellprep train")
    from cellprep.learn.training.run import train

    tell(train(open_store(data), options), quiet)
