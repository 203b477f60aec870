"""Semantic segmentation: image to cell, wall and background."""

from torch import Tensor

from cellprep.learn.networks.network import Network
from cellprep.learn.networks.unet import UNet
from cellprep.learn.settings import NetworkSettings

_CLASSES = 3


class SemanticNetwork(Network):
    """Image to logits of cell, wall and background, in the order of the channels of ``semseg``."""

    def __init__(self, settings: NetworkSettings) -> None:
        body = UNet(settings.image_channels, _CLASSES, settings.base_channels)
        super().__init__(settings, body.multiple)
        self.body = body

    def forward(self, image: Tensor) -> Tensor:
        """Return logits (N, 3, H, W) for images (N, C, H, W)."""
        self.check(image, self.settings.image_channels)
        logits: Tensor = self.body(image)
        return logits
