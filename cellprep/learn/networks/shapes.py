"""Summaries of a network's layers: names, output shapes and numbers of parameters."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cellprep.learn.networks.network import Network


@dataclass(frozen=True, slots=True)
class Layer:
    """A layer of a network.

    Attributes
    ----------
    name
        Its path within the network's backbone.
    kind
        Its class and the side of its kernel, if it has one.
    shape
        (channels, height, width) of its output.
    parameters
        Number of its parameters.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int


def describe_layers(network: Network, side: int = 256) -> list[Layer]:
    """Return the layers in the order of their use, without running the network.

    Parameters
    ----------
    network
        From `empty_network`; a layer that is used several times, such as a pool, is listed each time.
    side
        Height and width of the image.

    Examples
    --------
    >>> from cellprep.learn.networks import NetworkSettings
    >>> from cellprep.learn.networks.network import empty_network
    >>> describe_layers(empty_network(NetworkSettings("wtn")))[0]
    Layer(name='conv1.1', kind='ConvReLU 5x5', shape=(64, 256, 256), parameters=3264)
    """
    layers: list[Layer] = []
    names = {module: name for name, module in network.named_modules()}

    def note(module: nn.Module, _given: Any, answer: Tensor) -> None:
        parameters = sum(parameter.numel() for parameter in module.parameters())
        layers.append(Layer(names[module].removeprefix("body."), _kind(module), tuple(answer.shape[1:]), parameters))

    hooks = [module.register_forward_hook(note) for module in names if not any(module.children())]
    given = network.settings.kind.channels(network.settings)
    network(*(torch.empty(1, channels, side, side, device="meta") for channels in given.values()))
    for hook in hooks:
        hook.remove()
    return layers


def layer_table(network: Network, side: int = 256) -> str:
    """Return the layers as a Markdown table; its last row is the total number of parameters."""
    layers = describe_layers(network, side)
    rows = [
        f"| {layer.name} | {layer.kind} | {' x '.join(map(str, layer.shape))} | {layer.parameters:,} |"
        for layer in layers
    ]
    total = sum(parameter.numel() for parameter in network.parameters())
    return "\n".join(
        ["| layer | kind | output | parameters |", "|---|---|---|---:|", *rows, f"| total | | | {total:,} |"]
    )


def _kind(module: nn.Module) -> str:
    size = getattr(module, "kernel_size", None)
    side = size[0] if isinstance(size, tuple) else size
    return type(module).__name__ + (f" {side}x{side}" if side else "")
