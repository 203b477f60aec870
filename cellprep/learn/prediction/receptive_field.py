"""Receptive fields of networks, computed from the networks themselves."""

from collections.abc import Iterable
from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor, nn

from cellprep.learn.networks.kind import NetworkSettings
from cellprep.learn.networks.network import Network, build_network
from cellprep.learn.prediction.tiles import round_up

_FARTHEST = 1 << 14


@lru_cache
def find_receptive_field(settings: NetworkSettings) -> int:
    """Return the radius of a network's receptive field, in pixels; a multiple of its `multiple`.

    In images that are cut at multiples, an output depends on nothing beyond it. It is found by trial: in a network with
    the same layers but only positive weights nothing cancels, so that a single bright square of `multiple` pixels
    brightens every output that depends on it. Numbers of channels do not matter, and are 1.

    Examples
    --------
    >>> find_receptive_field(NetworkSettings("wtn", arch="published"))
    24
    """
    network = build_network(
        replace(settings, base_channels=1, image_channels=1, masked=False, signed_mask=False), seed=0
    )
    _make_positive(network)
    length = 16 * network.multiple
    while length < _FARTHEST:
        radius = _lit_beyond(network, length)
        if radius is not None:
            return round_up(radius, network.multiple)
        length *= 2
    raise AssertionError(f"the receptive field of {settings} exceeds {_FARTHEST} pixels")


@torch.no_grad()
def _make_positive(network: nn.Module) -> None:
    """Make every weight positive, without growth from layer to layer; in float64, which keeps the weakest signal."""
    network.double().eval()
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.fill_(1 / module.weight[0].numel())
            if module.bias is not None:
                module.bias.zero_()


@torch.inference_mode()
def _lit_beyond(network: Network, length: int) -> int | None:
    """Return how many pixels around a bright square become bright, in strips along both axes; None if all do."""
    multiple = network.multiple
    middle = length // 2 // multiple * multiple
    radius = 0
    for axis in (2, 3):
        shape = [1, 1, multiple, multiple]
        shape[axis] = length
        given = torch.zeros(shape, dtype=torch.float64)
        given.narrow(axis, middle, multiple).fill_(1)
        lit = torch.stack([(answer != 0).movedim(axis, 0).flatten(1).any(1) for answer in _answers(network, given)])
        places = lit.any(0).nonzero()
        first, last = int(places.min()), int(places.max())
        if first == 0 or last == length - 1:
            return None
        radius = max(radius, middle - first, last - (middle + multiple - 1))
    return radius


def _answers(network: Network, given: Tensor) -> Iterable[Tensor]:
    """Return the maps for the input in each image channel that the network uses."""
    kind = network.settings.kind
    inputs = (given.repeat(1, channels, 1, 1) for channels in kind.channels(network.settings).values())
    return kind.named(network(*inputs)).values()
