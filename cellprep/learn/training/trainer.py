"""The training loop: a network, its optimisation and its validation. It does not depend on any specific network."""

import copy
import math
import time
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import count
from typing import Any

import numpy as np
import torch
from torch import nn
from torch.nn.parallel import DistributedDataParallel
from tqdm import tqdm

from cellprep.errors import TrainingError, WeightsError
from cellprep.learn.devices import Machine
from cellprep.learn.networks.kind import Batch, Maps, Share
from cellprep.learn.networks.network import Network
from cellprep.learn.processes import gather, processes
from cellprep.learn.training.journal import Row
from cellprep.learn.training.options import TrainOptions
from cellprep.learn.training.rates import make_optimiser, make_schedule

_STEEPEST = (
    1.0  # gradients are clipped to this norm: that of a direction grows without bound as its vector approaches 0
)


@dataclass(frozen=True, slots=True)
class Shown:
    """A validation image with its predicted maps, for drawing.

    Attributes
    ----------
    batch
        The image and its targets, N = 1, on the CPU.
    maps
        The predicted maps, N = 1, on the CPU, float32.
    place
        Its position among the validation images.
    """

    batch: Batch
    maps: Maps
    place: int


@dataclass(frozen=True, slots=True)
class _Measured:
    """The metrics of a validation image, or of a part of a huge one."""

    place: int
    image: str
    loss: float
    shares: dict[str, Share]
    shown: Shown | None


class Trainer:
    """A network in training.

    Parameters
    ----------
    network
        The network; it is moved to the machine's device.
    options
        The options of the training.
    machine
        The device and precision.
    steps
        Number of steps in the whole run, for the learning rate.

    Attributes
    ----------
    result : Network
        The network that is validated and saved: the moving average of the trained one if there is one, otherwise this.
    """

    def __init__(self, network: Network, options: TrainOptions, machine: Machine, steps: int) -> None:
        self.network = network.to(machine.device, memory_format=torch.channels_last)  # type: ignore[call-overload]
        self.kind = network.settings.kind
        self.machine = machine
        self.seed = options.seed
        self.processes = processes()
        self._trained = self.network if self.processes.count == 1 else DistributedDataParallel(self.network)
        self.optimiser = make_optimiser(self.network, options)
        self.schedule = make_schedule(self.optimiser, options, steps)
        self._keeps = options.ema
        self.result = copy.deepcopy(self.network) if options.ema else self.network

    def train(self, epoch: int, batches: Iterable[Batch], bar: "tqdm[Any]") -> Row:
        """Train on the batches of an epoch, and return its loss, learning rate and seconds.

        Random numbers in the network depend only on the seed and the epoch, so that a resumed run continues as if it
        had not been interrupted.

        Raises
        ------
        TrainingError
            If the loss is no longer finite.
        """
        rank = [self.processes.rank] if self.processes.rank else []
        torch.manual_seed(int(np.random.SeedSequence([self.seed, epoch, *rank]).generate_state(1)[0]))
        self.network.train()
        started, rate = time.perf_counter(), self.schedule.get_last_lr()[0]
        losses = []
        for batch in batches:
            loss = self._step(batch)
            _check_finite(loss, f"loss of epoch {epoch}")
            losses.append(loss)
            bar.set_postfix_str(f"epoch {epoch}, loss {np.mean(losses[-20:]):.4f}", refresh=False)
            bar.update()
        seconds = time.perf_counter() - started
        return {"epoch": epoch, "rate": float(rate), "seconds": seconds, "train_loss": float(np.mean(losses))}

    def _step(self, batch: Batch) -> float:
        batch = self._at_hand(batch)
        with self.machine.autocast():
            maps = self.kind.predict(self._trained, batch)
        loss = self.kind.loss(maps, batch)
        self.optimiser.zero_grad(set_to_none=True)
        whole = loss * self.processes.count  # as the gradients of the processes are averaged, not summed
        whole.backward()  # type: ignore[no-untyped-call]
        nn.utils.clip_grad_norm_(self.network.parameters(), _STEEPEST)
        self.optimiser.step()
        self.schedule.step()
        if self._keeps:
            self._update_mean()
        return loss.item()

    @torch.no_grad()
    def _update_mean(self) -> None:
        """Update the moving average of the weights, whose decay is faster in the first steps."""
        steps = self.schedule.last_epoch
        share = 1 - min(self._keeps, (1 + steps) / (10 + steps))
        newest = self.network.state_dict()
        for name, mean in self.result.state_dict().items():
            if mean.is_floating_point():
                mean.lerp_(newest[name], share)
            else:
                mean.copy_(newest[name])

    @torch.no_grad()
    def validate(self, batches: Iterable[Batch], shown: set[int]) -> tuple[Row, list[Shown]]:
        """Measure the network on whole images.

        Parameters
        ----------
        batches
            One image each, or a part of a huge one; the share of this process.
        shown
            Positions of the images to return with their predicted maps.

        Returns
        -------
        tuple
            The mean loss over the images and each metric over all their pixels; and the requested images or parts.

        Raises
        ------
        TrainingError
            If a loss is no longer finite.
        """
        self.result.eval()
        found: list[_Measured] = []
        places = count(self.processes.rank, self.processes.count)
        for place, given in zip(places, batches, strict=False):
            batch = self._at_hand(given)
            with self.machine.autocast():
                maps = self.kind.predict(self.result, batch)
            loss = self.kind.loss(maps, batch).item()
            _check_finite(loss, "validation loss")
            kept = None
            if place in shown:
                kept = Shown(given, {name: values.float().cpu() for name, values in maps.items()}, place)
            found.append(
                _Measured(place, str(given["id"][0]), loss, self.kind.measure(self.network.settings, maps, batch), kept)
            )
        found = sorted(gather(found), key=lambda image: image.place)
        sums: dict[str, Share] = {}
        for image in found:
            for name, (value, weight) in image.shares.items():
                total, weights = sums.get(name, (0.0, 0.0))
                sums[name] = (total + value, weights + weight)
        row = {"val_loss": _mean_loss(found)}
        row |= {f"val_{name}": value / max(weight, 1.0) for name, (value, weight) in sums.items()}
        return row, [image.shown for image in found if image.shown]

    def _at_hand(self, batch: Batch) -> Batch:
        """Move a batch to the network's device."""
        tensors = {name: value for name, value in batch.items() if isinstance(value, torch.Tensor)}
        return {name: value.to(self.machine.device, non_blocking=True) for name, value in tensors.items()}

    def state(self) -> dict[str, Any]:
        """Return everything that changes in training."""
        return {
            "network": _on_cpu(self.network),
            **({"mean": _on_cpu(self.result)} if self._keeps else {}),
            "optimiser": self.optimiser.state_dict(),
            "schedule": self.schedule.state_dict(),
        }

    def restore(self, state: dict[str, Any]) -> None:
        """Restore a result of `state`.

        Raises
        ------
        WeightsError
            If it is from another training.
        """
        try:
            self.network.load_state_dict(state["network"])
            if self._keeps:
                self.result.load_state_dict(state["mean"])
            self.optimiser.load_state_dict(state["optimiser"])
            self.schedule.load_state_dict(state["schedule"])
        except (RuntimeError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise WeightsError("the run's state is from another training: start again in another folder") from error


def _on_cpu(network: Network) -> dict[str, torch.Tensor]:
    return {name: value.cpu() for name, value in network.state_dict().items()}


def _mean_loss(found: list[_Measured]) -> float:
    """Return the mean loss over images; for an image in parts, their mean weighted by the number of pixels."""
    parts: dict[str, list[_Measured]] = {}
    for part in found:
        parts.setdefault(part.image, []).append(part)
    losses = []
    for of_image in parts.values():
        weights = [max((weight for _, weight in part.shares.values()), default=0.0) for part in of_image]
        losses.append(np.average([part.loss for part in of_image], weights=weights if any(weights) else None))
    return float(np.mean(losses))


def _check_finite(loss: float, what: str) -> None:
    if not math.isfinite(loss):
        raise TrainingError(f"the {what} is {loss}: lower --max-lr, or use --precision float32")
