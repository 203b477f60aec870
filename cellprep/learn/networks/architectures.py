"""The layers that a network may have, listed without torch and loaded when a network is built."""

from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from cellprep.learn.networks.layers import Body


@dataclass(frozen=True, slots=True)
class Architecture:
    """The layers of a network, and the defaults for training it with them.

    Attributes
    ----------
    body
        Makes the layers (the backbone) from the numbers of channels of their input, their output and the first layer.
    base_channels
        Channels of the first layers.
    max_lr
        The highest learning rate.
    """

    body: Callable[[int, int, int], "Body"]
    base_channels: int
    max_lr: float


def layers(module: str, name: str, **options: int) -> Callable[[int, int, int], "Body"]:
    """Return a function that makes the layers of a class; it imports the class's module in this package when called."""

    def make(inputs: int, outputs: int, base: int) -> "Body":
        made: Body = getattr(import_module(f"cellprep.learn.networks.{module}"), name)(inputs, outputs, base, **options)
        return made

    return make


#: The default: it performed best in equal time on one core (docs/experiments.md).
UNET = Architecture(layers("unet", "UNet"), base_channels=16, max_lr=3e-3)
