"""Estimates of the duration of a training, from timed steps before it starts."""

import copy
import time
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from cellprep.core.targets import TARGETS, Recipe, Target, sampled_targets
from cellprep.learn.data.classes import CLASSES
from cellprep.learn.devices import Machine
from cellprep.learn.networks.kind import Batch
from cellprep.learn.networks.network import Network, build_network
from cellprep.learn.training.options import TrainOptions
from cellprep.text.wording import count

_LONG = 3 * 3600.0  # seconds: a smaller network is suggested for longer trainings
_SMALL = 16  # base channels
_MOST_STEPS, _ENOUGH = 6, 3.0  # timed steps, or seconds: other work on the machine may delay single steps


def expect_duration(network: Network, options: TrainOptions, machine: Machine, steps: int, epochs: int) -> list[str]:
    """Estimate the duration of an epoch and of a whole training on a CPU, also with a smaller network.

    Steps with one crop are timed on a copy of the network, and the fastest is used. Loading and validation are not
    included.

    Parameters
    ----------
    network
        The network.
    options
        The options of the training.
    machine
        The device and precision.
    steps
        Steps in an epoch.
    epochs
        Remaining epochs.

    Returns
    -------
    list of str
        One or two lines; none for other devices than CPUs, where the first steps are not representative.
    """
    if machine.device.type != "cpu":
        return []
    seconds = _time_step(network, options, machine) * options.batch_size * steps
    total = seconds * epochs
    lines = [
        f"an epoch of {steps:,} steps takes about {describe_duration(seconds)} on this CPU, "
        f"{count(epochs, 'epoch')} about {describe_duration(total)}"
    ]
    if total > _LONG:
        lines.append(_advice(network, options, machine, steps))
    return lines


def _advice(network: Network, options: TrainOptions, machine: Machine, steps: int) -> str:
    base = network.settings.base_channels
    if base <= _SMALL or options.init or options.encoder:  # their weights determine the size
        return "use fewer --epochs, or a GPU, to save time; resume an interrupted training with --resume"
    small = build_network(replace(network.settings, base_channels=_SMALL), seed=0)
    seconds = _time_step(small, options, machine) * options.batch_size * steps
    return (
        f"this is long: with --base-channels {_SMALL} instead of {base}, an epoch takes about "
        f"{describe_duration(seconds)}; or use a GPU"
    )


def _time_step(network: Network, options: TrainOptions, machine: Machine) -> float:
    """Return the seconds of a step with one crop; the network and torch's random state are not changed."""
    timed = copy.deepcopy(network).to(memory_format=torch.channels_last).train()  # type: ignore[call-overload]
    batch = _blank_batch(network, options.crop)
    taken: list[float] = []
    with torch.random.fork_rng(devices=[]):
        while len(taken) < 2 or (len(taken) < _MOST_STEPS and sum(taken) < _ENOUGH):
            started = time.perf_counter()
            with machine.autocast():
                maps = options.kind.predict(timed, batch)
            options.kind.loss(maps, batch).backward()  # type: ignore[no-untyped-call]
            taken.append(time.perf_counter() - started)
    return min(taken[1:])  # the first one also chooses algorithms


def _blank_batch(network: Network, crop: int) -> Batch:
    """Return a batch of one crop that is entirely a cell."""
    plane = torch.ones(1, 1, crop, crop)
    classes = len(network.settings.classes)
    return {
        "image": plane.expand(-1, network.settings.image_channels, -1, -1).contiguous(),
        "mask": plane.expand(-1, 1 + classes, -1, -1).contiguous(),
        "domain": plane,
        **{name: torch.from_numpy(_blank_sample(TARGETS[name], crop))[None] for name in sampled_targets()},
        "counts": plane[:, 0] > 0,
        **({CLASSES: torch.zeros(1, crop, crop, dtype=torch.int64)} if classes else {}),
        **({"class_weights": torch.ones(1, classes)} if classes else {}),
    }


def _blank_sample(target: Target, crop: int) -> NDArray[Any]:
    """Return the sample of a target that is 1 everywhere, in its first channel if there are several."""
    shape = target.shape(crop, crop, Recipe())
    blank = np.zeros(shape if len(shape) == 3 else (*shape, 1), target.dtype)
    blank[..., 0] = 1
    return target.sample(blank.reshape(shape))


def describe_duration(seconds: float) -> str:
    """Return a duration as text, with at most two digits.

    Examples
    --------
    >>> [describe_duration(seconds) for seconds in (3.2, 50, 100, 5000, 11_000, 400_000)]
    ['3 s', '50 s', '1.7 min', '83 min', '3.1 h', '4.6 days']
    """
    for unit, size, least in (("days", 86400, 172_800), ("h", 3600, 7200), ("min", 60, 90)):
        if seconds >= least:
            value = seconds / size
            return f"{value:.1f} {unit}" if value < 10 else f"{value:.0f} {unit}"
    return f"{max(1, round(seconds))} s"
