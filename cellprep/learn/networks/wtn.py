"""The Watershed Transform Network: unit vectors to energy levels."""

from collections.abc import Callable

from torch import Tensor

from cellprep.learn.networks.network import Network
from cellprep.learn.networks.published_wtn import PublishedWTN
from cellprep.learn.networks.unet import UNet
from cellprep.learn.settings import NetworkSettings


def _shallow_unet(inputs: int, outputs: int, base: int) -> UNet:
    """Return a U-Net that sees about as far as the published body: how deep in a cell a pixel is, is seen nearby."""
    return UNet(inputs, outputs, base, depth=2)


_BODIES: dict[str, Callable[[int, int, int], PublishedWTN | UNet]] = {"published": PublishedWTN, "unet": _shallow_unet}


class WatershedTransformNetwork(Network):
    """Unit vectors (y, x) to logits of the energy levels."""

    def __init__(self, settings: NetworkSettings) -> None:
        body = _BODIES[settings.arch](2, settings.levels, settings.base_channels)
        super().__init__(settings, body.multiple)
        self.body = body

    def forward(self, uvec: Tensor) -> Tensor:
        """Return logits (N, levels, H, W) for unit vectors (N, 2, H, W)."""
        self.check(uvec, 2)
        logits: Tensor = self.body(uvec)
        return logits
