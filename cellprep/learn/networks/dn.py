"""The Direction Network: image and mask to unit vectors."""

import torch
from torch import Tensor

from cellprep.learn.networks.layers import unit_length
from cellprep.learn.networks.network import Network
from cellprep.learn.networks.published_dn import PublishedDN
from cellprep.learn.networks.unet import UNet
from cellprep.learn.settings import NetworkSettings

#: What the mask's channel holds within the mask. The original gives it 32 beside 8-bit grey values, whose standard
#: deviation is about 64; images here have standard deviation 1, and so the proportion is kept.
MASK_VALUE = 32 / 64

_BODIES: dict[str, type[PublishedDN | UNet]] = {"published": PublishedDN, "unet": UNet}


class DirectionNetwork(Network):
    """Image and mask to unit vectors (y, x).

    The body sees the image, 0 outside the mask, and the mask itself as one more channel (`MASK_VALUE`). Of a network
    that is not ``masked`` it sees the whole image; with ``signed_mask`` the mask, too, `MASK_VALUE` inside and minus
    `MASK_VALUE` outside, as the network of the notes' author for the background as a cell does (qAp,
    sartorius_cell_instance_segmentation_kaggle).
    """

    def __init__(self, settings: NetworkSettings) -> None:
        inputs = settings.image_channels + (settings.masked or settings.signed_mask)
        body = _BODIES[settings.arch](inputs, 2, settings.base_channels)
        super().__init__(settings, body.multiple)
        self.body = body

    def forward(self, image: Tensor, mask: Tensor) -> Tensor:
        """Return unit vectors.

        Parameters
        ----------
        image
            (N, C, H, W), normalised.
        mask
            (N, 1, H, W) float, 0 or 1; not looked at unless the network is ``masked`` or has a ``signed_mask``.

        Returns
        -------
        Tensor
            (N, 2, H, W) float32: components (y, x), length 1, but 0 outside the mask of a network that is
            ``masked``, and where the body answers 0 (features are all dead there, which only tiny ones have).
        """
        self.check(image, self.settings.image_channels)
        if not (self.settings.masked or self.settings.signed_mask):
            return unit_length(self.body(image))
        self.check(mask, 1)
        if not self.settings.masked:
            return unit_length(self.body(torch.cat([image, MASK_VALUE * (2 * mask - 1)], 1)))
        return unit_length(self.body(torch.cat([image * mask, MASK_VALUE * mask], 1))) * mask
