"""The initial network of a training."""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from cellprep.core.shrinking import MOST_SHRINK
from cellprep.errors import UsageError
from cellprep.learn.networks.kind import NetworkSettings
from cellprep.learn.networks.network import Network, build_network
from cellprep.learn.networks.vgg16 import load_vgg16
from cellprep.learn.normalisation import NORMALISATIONS
from cellprep.learn.prediction.bundle import find_weights
from cellprep.learn.training.options import TrainOptions
from cellprep.learn.weights import Weights, load_all_weights, weights_file
from cellprep.system.files import read_file
from cellprep.text.wording import printable

_OTHER_SIZE = 1.5  # times larger or smaller


@dataclass(frozen=True, slots=True)
class Origin:
    """Initial weights of a training.

    Attributes
    ----------
    place
        Their name or path in the options.
    weights
        The weights of one network.
    sha256
        The hash of their file, in hex.
    """

    place: str
    weights: Weights
    sha256: str

    def __str__(self) -> str:
        return f"the {self.weights.settings.name} of {self.place}"

    def to_dict(self, *, folders: bool = True) -> dict[str, Any]:
        """Return the record of them for a run; without `folders`, only the name of a path."""
        return {
            "weights": self.place if folders else Path(self.place).name,
            "network": self.weights.settings.name,
            "version": self.weights.version,
            "sha256": self.sha256,
        }


def find_origins(options: TrainOptions) -> list[Origin]:
    """Read the initial weights of a training: those of its network, or of each network that it consists of.

    From a bundle, only the weights that are needed are used.

    Raises
    ------
    UsageError
        If the weights are of other networks.
    WeightsError
        If a file of weights cannot be read.
    """
    held = [origin for place in options.init for origin in _read(place)]
    for wanted in ((options.network,), options.kind.parts):
        found = [origin for name in wanted for origin in held if origin.weights.settings.name == name]
        if len(found) == len(wanted) and {origin.place for origin in found} == {*options.init}:
            return found
    if not held:
        return []
    *others, last = sorted(origin.weights.settings.name for origin in held)
    names = f"{', '.join(others)} and {last}" if others else last
    parts = f", or of a {' and a '.join(options.kind.parts)}" if options.kind.parts else ""
    raise UsageError(f"--init contains weights of {names}: give those of a {options.network}{parts}")


def _read(place: str) -> list[Origin]:
    origins = []
    for file in find_weights(place):
        parts = load_all_weights(file)
        digest = hashlib.sha256(read_file(weights_file(file))).hexdigest()
        origins += [Origin(place, weights, digest) for weights in parts]
    return origins


def agreed_normalisation(options: TrainOptions, origins: Sequence[Origin]) -> str:
    """Return the kind of normalisation, from the options or the initial weights.

    Raises
    ------
    UsageError
        If the two differ.
    """
    for origin in origins:
        if its := origin.weights.normalisation:
            if options.normalisation not in ("", its.kind):
                raise UsageError(
                    f"{origin} has the normalisation {its.kind}, but this training has "
                    f"{options.normalisation}: they must be the same; omit --normalisation"
                )
            return its.kind
    return options.normalisation or next(iter(NORMALISATIONS))


def compare_sizes(origins: Sequence[Origin], diameter: float | None, shrink: int) -> list[str]:
    """Return lines on weights that were trained on much larger or smaller cells than those of a training.

    Parameters
    ----------
    origins
        The initial weights.
    diameter
        The median diameter of the training cells, in pixels; None if it is unknown.
    shrink
        N if the images are at 1/N of their size.
    """
    lines = []
    for origin in origins:
        appearance = origin.weights.appearance
        learned = appearance.median_diameter if appearance else None
        if not learned or not diameter or 1 / _OTHER_SIZE < diameter / learned < _OTHER_SIZE:
            continue
        best = min(max(1, round(shrink * diameter / learned)), MOST_SHRINK)
        given = f"with --shrink {best}" if best > 1 else "without --shrink"
        advice = f"; they are closest to this size in a store built {given}" if best != shrink else ""
        lines.append(
            f"the cells have a median diameter of {diameter:.3g} pixels, but {origin} was trained on cells of "
            f"{learned:.3g} pixels{advice}"
        )
    return lines


def first_network(
    options: TrainOptions,
    origins: Sequence[Origin],
    image_channels: int,
    levels: int,
    classes: Sequence[str] = (),
) -> Network:
    """Build the network, with random or given initial weights.

    Weights without classes can initialise a network with classes: weights of its new outputs start at random, and those
    of its new inputs at 0.

    Raises
    ------
    UsageError
        If the weights are for other images or targets, or an option contradicts them.
    WeightsError
        If the encoder's file of weights cannot be read.
    """
    settings = _settings(options, origins, image_channels, levels, tuple(classes))
    network = build_network(settings, options.seed)
    first = [origin.weights.network for origin in origins]
    if options.encoder:
        load_vgg16(network, options.encoder)
    elif [its.settings.name for its in first] == [options.network]:
        network.load_state_dict(_widened(first[0], network))
    elif first:
        network.start_from(*first)
    return network


def _widened(before: Network, after: Network) -> dict[str, Tensor]:
    """Return the weights of a network for one with classes, whose channels follow the others."""
    state = before.state_dict()
    if before.settings.classes == after.settings.classes:
        return state
    for name, first in after.state_dict().items():
        there = state[name]
        if there.shape != first.shape:
            wide = first.clone()
            if there.ndim > 1 and there.shape[1] < first.shape[1]:
                wide[:, there.shape[1] :] = 0
            wide[tuple(map(slice, there.shape))] = there
            state[name] = wide
    return state


def _settings(
    options: TrainOptions,
    origins: Sequence[Origin],
    image_channels: int,
    levels: int,
    classes: tuple[str, ...],
) -> NetworkSettings:
    """Return the settings, from the options or the initial weights."""
    arch, base_channels = options.arch, options.base_channels
    if origins:
        arch = arch or origins[0].weights.settings.arch
        base_channels = base_channels or origins[0].weights.settings.base_channels
    assert base_channels is not None  # missing only if weights are given
    signed_mask = options.background_cell and options.mask != "none"
    settings = NetworkSettings(
        options.network,
        arch,
        base_channels,
        image_channels,
        levels,
        masked=not options.background_cell,
        signed_mask=signed_mask,
        classes=classes,
    )
    for origin in origins:
        found = origin.weights.settings
        for name in found.kind.depends_on:
            if name == "classes" and not found.classes and found.name == options.network:
                continue  # they are new in this training
            if name == "classes" and found.classes and not classes:
                raise UsageError(f"{origin} has the classes {_in_words(found.classes)}: give --classes, too")
            if getattr(found, name) != getattr(settings, name):
                given = name in ("arch", "base_channels", "classes") and getattr(options, name)
                raise UsageError(
                    f"{origin} has {name.replace('_', ' ')} {_in_words(getattr(found, name))}, but this training has "
                    f"{_in_words(getattr(settings, name))}: they must be the same"
                    + (f"; omit --{name.replace('_', '-')}" if given else "")
                )
    return settings


def _in_words(value: Any) -> str:
    return (", ".join(map(printable, value)) or "none") if isinstance(value, tuple) else str(value)
