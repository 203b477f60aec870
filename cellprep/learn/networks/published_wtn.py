"""The backbone of the Watershed Transform Network as published."""

from torch import Tensor, nn

from cellprep.learn.networks.layers import Body, ConvReLU, Upsampling, stage

_DROPPED = 0.3  # the original keeps 0.7


class PublishedWTN(Body):
    """The Watershed Transform Network of Bai & Urtasun (2017, arXiv 1611.08303).

    The authors' code has a ReLU and dropout after the last convolution, too. Here the logits are unchanged: dropping
    some of them, or clipping them at 0, slows down learning and makes the levels worse (docs/networks.md).

    Parameters
    ----------
    inputs, outputs
        Numbers of channels.
    base
        Channels of the first layer, which scale all the others; 64 as published.
    """

    multiple = 4

    def __init__(self, inputs: int, outputs: int, base: int) -> None:
        super().__init__()
        self.conv1 = stage(ConvReLU(inputs, base, 5), ConvReLU(base, 2 * base, 5))
        self.conv2 = stage(*(ConvReLU(2 * base, 2 * base, 5) for _ in range(4)))
        self.pool = nn.AvgPool2d(2)
        self.dropout = nn.Dropout(_DROPPED)
        self.fcn1 = ConvReLU(2 * base, 2 * base, 1)
        self.fcn2 = nn.Conv2d(2 * base, outputs, 1)
        self.up = Upsampling(outputs, 4)

    def forward(self, given: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        quarter = self.pool(self.conv2(self.pool(self.conv1(given))))
        answer: Tensor = self.up(self.fcn2(self.dropout(self.fcn1(quarter))))
        return answer
