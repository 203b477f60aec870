"""The networks: each is one class, and its bodies are classes of their own."""

from collections.abc import Callable

import torch

from cellprep.learn.networks.dn import DirectionNetwork
from cellprep.learn.networks.layers import initialise
from cellprep.learn.networks.network import Network
from cellprep.learn.networks.semseg import SemanticNetwork
from cellprep.learn.networks.vgg16 import load_vgg16
from cellprep.learn.networks.wn import WatershedNetwork
from cellprep.learn.networks.wtn import WatershedTransformNetwork
from cellprep.learn.settings import NetworkSettings

__all__ = ["BUILDERS", "Network", "build_network", "empty_network", "load_vgg16"]

#: What makes each of `cellprep.learn.settings.NETWORKS`.
BUILDERS: dict[str, Callable[[NetworkSettings], Network]] = {
    "semseg": SemanticNetwork,
    "dn": DirectionNetwork,
    "wtn": WatershedTransformNetwork,
    "wn": WatershedNetwork,
}


def build_network(settings: NetworkSettings, seed: int | None = None) -> Network:
    """Build a network with its first weights.

    Parameters
    ----------
    settings
        What it is built from.
    seed
        Decides the first weights, and leaves torch's own random numbers alone; these are used if None.

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
        return BUILDERS[settings.name](settings)
