"""The backbone of the Direction Network as published."""

import torch
from torch import Tensor, nn

from cellprep.learn.networks.layers import Body, ConvReLU, Upsampling, stage


class PublishedDN(Body):
    """The Direction Network of Bai & Urtasun (2017, arXiv 1611.08303), before its vectors are made unit vectors.

    The convolutions are those of VGG-16, but the last two pools are averages. Three heads process the features
    at 1/4, 1/8 and 1/16 of the size; their outputs are resampled to 1/4, concatenated, and fused.

    Parameters
    ----------
    inputs, outputs
        Numbers of channels.
    base
        Channels of the first layers, which scale all the others; 64 as published.
    """

    multiple = 16

    def __init__(self, inputs: int, outputs: int, base: int) -> None:
        super().__init__()
        self.conv1 = _convolutions(2, inputs, base)
        self.conv2 = _convolutions(2, base, 2 * base)
        self.conv3 = _convolutions(3, 2 * base, 4 * base)
        self.conv4 = _convolutions(3, 4 * base, 8 * base)
        self.conv5 = _convolutions(3, 8 * base, 8 * base)
        self.max_pool = nn.MaxPool2d(2)
        self.average_pool = nn.AvgPool2d(2)
        self.head3 = _head(4 * base, 4 * base)
        self.head4 = _head(8 * base, 4 * base)
        self.head5 = _head(8 * base, 4 * base)
        self.up4 = Upsampling(4 * base, 2)
        self.up5 = Upsampling(4 * base, 4)
        self.fuse = stage(
            ConvReLU(12 * base, 8 * base, 1), ConvReLU(8 * base, 8 * base, 1), nn.Conv2d(8 * base, outputs, 1)
        )
        self.up = Upsampling(outputs, 4)

    def forward(self, given: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        quarter = self.conv3(self.max_pool(self.conv2(self.max_pool(self.conv1(given)))))
        eighth = self.conv4(self.average_pool(quarter))
        sixteenth = self.conv5(self.average_pool(eighth))
        joined = torch.cat([self.head3(quarter), self.up4(self.head4(eighth)), self.up5(self.head5(sixteenth))], 1)
        answer: Tensor = self.up(self.fuse(joined))
        return answer


def _convolutions(number: int, inputs: int, outputs: int) -> nn.Sequential:
    widths = [inputs] + [outputs] * (number - 1)
    return stage(*(ConvReLU(width, outputs) for width in widths))


def _head(inputs: int, outputs: int) -> nn.Sequential:
    return stage(ConvReLU(inputs, inputs, 5), ConvReLU(inputs, inputs, 1), ConvReLU(inputs, outputs, 1))
