"""Training a network on a store."""

import sys
from collections.abc import Generator, Iterator
from contextlib import closing, nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from tqdm import tqdm

from cellprep.errors import UsageError
from cellprep.learn.data.loading import Loader, train_loader, validation_loader
from cellprep.learn.devices import Machine, choose_machine
from cellprep.learn.networks.network import Network
from cellprep.learn.processes import Processes, gather, joined, share
from cellprep.learn.training.estimate import expect_duration
from cellprep.learn.training.first import compare_sizes, first_network
from cellprep.learn.training.folder import RunFolder
from cellprep.learn.training.journal import INSTANCES, Row, TensorBoard, draw_curves, metrics_dataframe, write_metrics
from cellprep.learn.training.next_steps import next_steps
from cellprep.learn.training.options import ALL_FOLDS, TrainOptions
from cellprep.learn.training.pictures import draw_validation, has_matplotlib
from cellprep.learn.training.plan import Plan, make_plan
from cellprep.learn.training.runs import choose_folder
from cellprep.learn.training.scoring import InstanceScorer
from cellprep.learn.training.trainer import Shown, Trainer
from cellprep.learn.weights import Weights, save_weights
from cellprep.store import Store, StoreLike, as_store
from cellprep.system.locks import held
from cellprep.system.options import options_of, takes
from cellprep.system.progress import progress_bar
from cellprep.text.notebook import notebook_html
from cellprep.text.wording import count, printable

if TYPE_CHECKING:
    from pandas import DataFrame

_SHOWN = 4  # validation images, or parts of huge ones, to draw


@dataclass(frozen=True, slots=True)
class TrainReport:
    """The result of a training.

    Attributes
    ----------
    out
        The run's folder.
    rows
        The metrics of every epoch.
    train_images, val_images
        Numbers of training images and of other images for validation; 0 if these are the same.
    machine
        Description of the device and precision.
    drawn
        Whether pictures were drawn.
    next_steps
        The next commands, each with its purpose.
    without_pixels
        Number of images that were skipped because they have no pixels.
    tells
        Whether this process prints the report: the first of several does.
    """

    out: Path
    rows: list[Row]
    train_images: int
    val_images: int
    machine: str
    drawn: bool
    next_steps: tuple[str, ...] = ()
    without_pixels: int = 0
    tells: bool = True

    def __repr__(self) -> str:
        images = f"{count(self.train_images, 'image')}, validated on {_others(self.val_images)}"
        return f"<TrainReport {self.out}: {count(len(self.rows), 'epoch')} on {images}; best: {_in_words(self.best)}>"

    def _repr_html_(self) -> str:
        """Return a table for notebooks."""
        return notebook_html("TrainReport", [(str(self.out), self.notes())])

    @property
    def best(self) -> Row:
        """The metrics of the epoch with the lowest validation loss."""
        return _best(self.rows)

    def to_dataframe(self) -> "DataFrame":
        """Return a table with a row per epoch, like ``metrics.csv`` in the run's folder, but with all digits."""
        return metrics_dataframe(self.rows)

    def notes(self) -> list[str]:
        """Return the lines to print."""
        if not self.tells:
            return []
        return [
            f"{count(len(self.rows), 'epoch')} on {count(self.train_images, 'image')}, validated on "
            f"{_others(self.val_images)}, on {self.machine}",
            f"best: {_in_words(self.best)}",
            *self.notes_on_data(),
            f"weights: {RunFolder(self.out).best}",
            *self.next_steps,
        ]

    def notes_on_data(self) -> list[str]:
        """Return lines on images that were skipped, and on pictures that were not drawn."""
        lines = []
        if self.without_pixels:
            lines.append(f"{count(self.without_pixels, 'image')} of the store left out: no pixels")
        if not self.drawn:
            lines.append("no pictures, as matplotlib is missing: pip install 'cellprep[plot]'")
        return lines

    def errors(self) -> list[str]:
        """Return an empty list, as a training that fails raises."""
        return []


@takes(TrainOptions)
def train(store: StoreLike, options: TrainOptions | str | None = None, **keywords: Any) -> TrainReport:
    """Train a network, and write its weights, metrics and pictures to a folder.

    Equal options and data give equal weights on the same machine with the same number of threads, even if the run was
    interrupted and resumed. Processes started by `torchrun` share each batch; the first one writes files.

    Parameters
    ----------
    store
        A store, or its path. Only images with pixels are used, except for ``wtn``, which needs none.
    options
        The network, such as ``"dn"``, or the options of the training.
    **keywords
        Fields of `TrainOptions` by name.

    Returns
    -------
    TrainReport
        The result.

    Raises
    ------
    UsageError
        If the options do not match the data or the folder.
    WeightsError
        If the initial weights, or the state to resume, cannot be read.
    TrainingError
        If the loss is no longer finite.
    OutputError
        If a file cannot be written; earlier files are complete.
    """
    given = options if isinstance(options, TrainOptions) else None
    named = {} if given or options is None else {"network": options}
    store, options = as_store(store), options_of(TrainOptions, given, {**named, **keywords})
    if options.fold == ALL_FOLDS:
        raise UsageError("train trains one network: give the number of a fold, or use train_folds for all folds")
    machine = choose_machine(options.device, options.precision)
    with joined(machine.device) as here:
        return _train(store, options, machine, here)


def _train(store: Store, options: TrainOptions, machine: Machine, here: Processes) -> TrainReport:
    writes = here.rank == 0
    out = options.out or share(choose_folder(options.network, resume=options.resume) if writes else None)
    assert out is not None
    folder = RunFolder(out)
    if writes and not options.resume:
        folder.check_new()
    board = TensorBoard(folder.tensorboard) if options.tensorboard and writes else None
    plan = make_plan(store, options)
    channels = plan.normalisation.channels if plan.normalisation else 1
    network = first_network(options, plan.origins, channels, plan.recipe.levels, plan.crops.classes)
    workers = machine.workers() if options.workers < 0 else options.workers
    batches = train_loader(
        store, plan.train_ids, plan.crops, plan.normalisation, network.multiple, options.batch_size, workers
    )
    whole = validation_loader(store, plan.val_ids, plan.crops, plan.normalisation, network.multiple, workers)
    settings = {"options": options.to_dict(), **plan.to_dict()}
    with held(folder.path) if writes else nullcontext():
        state = share(folder.take_up(settings) if options.resume and writes else None)
        if writes and not options.resume:
            origin = {"origin": [its.to_dict() for its in plan.origins]} if plan.origins else {}
            folder.begin({**settings, **origin, "store": str(store.path)})
        assert options.epochs is not None
        trainer = Trainer(network, options, machine, options.epochs * len(batches))
        rows: list[Row] = []
        if state:
            trainer.restore(state)
            rows = state["rows"]
        tells = writes and not options.quiet
        for line in _beginning(folder, plan, options, trainer, len(batches), rows) if tells else ():
            tqdm.write(line, file=sys.stderr)
        places = _evenly(sum(gather([len(whole)])), options.validation_instances)
        scorer = InstanceScorer(store, options.kind, plan.decoding, places)
        with closing(_epochs(trainer, batches, whole, scorer, options, rows, quiet=not tells)) as epochs:
            for shown in epochs:
                if not writes:
                    continue
                _keep(folder, trainer, plan, options, rows, shown)
                if board:
                    board.write(rows)
                if tells:
                    best = "  (best)" if rows[-1] is _best(rows) else ""
                    tqdm.write(_in_words(rows[-1]) + best, file=sys.stderr)
    return TrainReport(
        out,
        rows,
        len(plan.train_ids),
        plan.validation_images,
        str(machine) if here.count == 1 else f"{machine}, {here.count} processes",
        has_matplotlib(),
        next_steps(out, options, store.path),
        plan.without_pixels,
        writes,
    )


def _evenly(total: int, number: int) -> list[int]:
    """Return evenly spaced positions of some validation images among those of all processes."""
    return [int(place) for place in np.linspace(0, total - 1, number).round()]


def _epochs(
    trainer: Trainer,
    batches: Loader,
    whole: Loader,
    scorer: InstanceScorer,
    options: TrainOptions,
    rows: list[Row],
    *,
    quiet: bool,
) -> Generator[list[Shown], None, None]:
    """Train epoch by epoch; append the metrics of each to the rows, and yield the images to draw."""
    drawn = set(_evenly(sum(gather([len(whole)])), _SHOWN))
    assert options.epochs is not None
    total, done = options.epochs * len(batches), len(rows) * len(batches)
    with progress_bar(total, "step", quiet=quiet, initial=done, smoothing=0.05) as bar:
        while not _ends(rows, options):
            epoch = len(rows) + 1
            row = trainer.train(epoch, batches.epoch(epoch), bar)
            measured, shown = trainer.validate(whole.epoch(0), drawn.union(scorer.places))
            scored = scorer.score(shown) if trainer.processes.rank == 0 else {}
            rows.append(row | measured | scored)
            yield [image for image in shown if image.place in drawn]


def _beginning(
    folder: RunFolder, plan: Plan, options: TrainOptions, trainer: Trainer, steps: int, rows: list[Row]
) -> Iterator[str]:
    """Yield the lines to print before the first epoch; the last ones take seconds to compute."""
    yield f"{_begin_in_words(folder, trainer.network, plan)}, on {trainer.machine}"
    yield from plan.classes.notes() if plan.classes else ()
    diameter = plan.appearance.middle_diameter if plan.appearance else None
    yield from compare_sizes(plan.origins, diameter, plan.recipe.shrink)
    assert options.epochs is not None
    left = 0 if _ends(rows, options) else options.epochs - len(rows)
    if options.resume:
        yield f"resuming after epoch {len(rows)}" if left else "already finished"
    if left and trainer.processes.count == 1:  # a step with several processes needs all of them
        yield from expect_duration(trainer.network, options, trainer.machine, steps, left)


def _begin_in_words(folder: RunFolder, network: Network, plan: Plan) -> str:
    settings = network.settings
    size = sum(parameter.numel() for parameter in network.parameters())
    return (
        f"{folder.path}: {settings.name} ({settings.arch}, {settings.base_channels} base channels, {size / 1e6:.1f} "
        f"million parameters) on {count(len(plan.train_ids), 'image')}, validated on "
        f"{f'{plan.validation_images:,}' if plan.validation_images else 'the same'}"
    )


def _others(number: int) -> str:
    return count(number, "other") if number else "the same"


def _keep(
    folder: RunFolder, trainer: Trainer, plan: Plan, options: TrainOptions, rows: list[Row], shown: list[Shown]
) -> None:
    """Write all files of an epoch, the state last."""
    figures = {name: value for name, value in rows[-1].items() if name not in ("seconds", INSTANCES)}
    training = {"options": options.to_dict(folders=False), "images": len(plan.train_ids), "figures": figures}
    if plan.origins:
        training["origin"] = [its.to_dict(folders=False) for its in plan.origins]
    weights = Weights(
        trainer.result,
        plan.normalisation,
        plan.recipe,
        options.mask,
        training,
        decoding=plan.decoding,
        appearance=plan.appearance,
        pixel_size=plan.pixel_size,
    )
    is_best = rows[-1] is _best(rows)
    if is_best:
        save_weights(folder.best, weights)
    save_weights(folder.last, weights)
    write_metrics(folder.metrics, rows)
    if has_matplotlib():
        draw_curves(folder.curves, rows, f"{options.network}, trained on {count(len(plan.train_ids), 'image')}")
        if is_best:
            draw_validation(folder.pictures, trainer.network.settings, shown, rows[-1])
    folder.keep({"epoch": len(rows), "rows": rows, **trainer.state()})


def _best(rows: list[Row]) -> Row:
    return min(rows, key=lambda row: row["val_loss"])


def _ends(rows: list[Row], options: TrainOptions) -> bool:
    """Return whether a training is over."""
    assert options.epochs is not None
    return len(rows) >= options.epochs or _is_stale(rows, options.patience)


def _is_stale(rows: list[Row], patience: int) -> bool:
    """Return whether the validation loss has not decreased for this number of epochs."""
    return bool(patience and rows) and len(rows) - _best(rows)["epoch"] >= patience


def _in_words(row: Row) -> str:
    measures = [
        f"{printable(name.removeprefix('val_').replace('_', ' '))} {value:.4g}"
        for name, value in row.items()
        if name.startswith("val_") and name != "val_loss"
    ]
    losses = f"loss {row['train_loss']:.4f}, validation {row['val_loss']:.4f}"
    return f"epoch {row['epoch']:.0f}: {', '.join([losses, *measures])}, {row['seconds']:.0f} s"
