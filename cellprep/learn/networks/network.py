"""Networks: layers with their weights."""

from dataclasses import replace
from math import lcm

import torch
from torch import Tensor, nn

from cellprep.errors import UsageError
from cellprep.learn.networks.kind import NetworkSettings
from cellprep.learn.networks.layers import Body, initialise


class Network(nn.Module):
    """A network with its settings; `build_network` makes one.

    Attributes
    ----------
    settings
        The settings that it was built from.
    multiple
        Height and width of inputs must be multiples of this.
    """

    def __init__(self, settings: NetworkSettings) -> None:
        super().__init__()
        self.settings = settings
        parts: dict[str, Network | Body] = {
            name: Network(replace(settings, name=name)) for name in settings.kind.parts
        } or {"body": settings.kind.body(settings)}
        for name, part in parts.items():
            self.add_module(name, part)
        self.multiple: int = lcm(*(part.multiple for part in parts.values()))

    def forward(self, *given: Tensor) -> Tensor | tuple[Tensor, ...]:
        """Return the network's map, or a tuple of several, for its inputs, each (N, channels, H, W)."""
        kind = self.settings.kind
        for tensor, channels in zip(given, kind.channels(self.settings).values(), strict=True):
            if channels:
                self._check(tensor, channels)
        return kind.forward(self.settings, *self.children(), *given)

    def _check(self, given: Tensor, channels: int) -> None:
        """Refuse inputs of invalid shape.

        Raises
        ------
        UsageError
            If `given` is not (N, channels, H, W) with H and W multiples of `multiple`.
        """
        good = given.ndim == 4 and given.shape[1] == channels and not any(n % self.multiple for n in given.shape[2:])
        if not good:
            raise UsageError(
                f"the input of {self.settings.name} has shape {tuple(given.shape)}: it must be (N, {channels}, H, W), "
                f"with H and W multiples of {self.multiple}"
            )

    def start_from(self, *networks: "Network") -> None:
        """Copy the weights of the networks that it consists of, which were trained separately.

        Raises
        ------
        UsageError
            If their settings differ from those of its parts, except in settings that a part does not use.
        """
        parts = [part for part in self.children() if isinstance(part, Network)]
        pairs = list(zip(parts, networks, strict=True))
        for part, other in pairs:
            names = ("name", *part.settings.kind.depends_on)
            if any(getattr(other.settings, name) != getattr(part.settings, name) for name in names):
                raise UsageError(f"{self.settings.name} cannot start from {other.settings}: it needs {part.settings}")
        for part, other in pairs:
            part.load_state_dict(other.state_dict())


def build_network(settings: NetworkSettings, seed: int | None = None) -> Network:
    """Build a network with initial weights.

    Parameters
    ----------
    settings
        The settings that it is built from.
    seed
        Random seed of the initial weights, which leaves torch's global random state unchanged; None uses the latter.

    Returns
    -------
    Network
        On the CPU, float32, in training mode.

    Examples
    --------
    >>> network = build_network(NetworkSettings("dn", base_channels=2), seed=0)
    >>> network(torch.zeros(1, 1, 32, 48), torch.ones(1, 1, 32, 48)).shape
    torch.Size([1, 2, 32, 48])
    """
    network = empty_network(settings).to_empty(device="cpu")
    initialise(network, None if seed is None else torch.Generator().manual_seed(seed))
    return network


def empty_network(settings: NetworkSettings) -> Network:
    """Return a network whose weights have shapes but no values, and take no memory."""
    with torch.device("meta"):
        return Network(settings)
