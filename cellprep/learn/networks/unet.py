"""A U-Net: the backbone of the semantic segmentation, and optionally of the other networks."""

from itertools import pairwise

import torch
from torch import Tensor, nn

from cellprep.learn.networks.batch_norm import BatchNorm2d
from cellprep.learn.networks.layers import Body


class UNet(Body):
    """A U-Net (Ronneberger et al. 2015, arXiv 1505.04597) with batch normalisation, and with padding.

    Parameters
    ----------
    inputs, outputs
        Numbers of channels.
    base
        Channels at full size; each halving of height and width doubles them.
    depth
        Number of halvings.

    Attributes
    ----------
    multiple
        Height and width must be multiples of this: 2 to the power of `depth`.
    """

    def __init__(self, inputs: int, outputs: int, base: int, depth: int = 4) -> None:
        super().__init__()
        self.multiple = 2**depth
        widths = [base * 2**level for level in range(depth + 1)]
        pairs = list(pairwise(widths))
        self.first = _double(inputs, base)
        self.pool = nn.MaxPool2d(2)
        self.down = nn.ModuleList(_double(upper, lower) for upper, lower in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(lower, upper, 2, stride=2) for upper, lower in reversed(pairs))
        self.merge = nn.ModuleList(_double(lower, upper) for upper, lower in reversed(pairs))
        self.last = nn.Conv2d(base, outputs, 1)

    def forward(self, given: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        features: Tensor = self.first(given)
        skipped = []
        for down in self.down:
            skipped.append(features)
            features = down(self.pool(features))
        for up, merge in zip(self.up, self.merge, strict=True):
            features = merge(torch.cat([skipped.pop(), up(features)], 1))
        answer: Tensor = self.last(features)
        return answer


def _double(inputs: int, outputs: int) -> nn.Sequential:
    """Return two convolutions without bias, which the batch normalisation after each would remove."""
    return nn.Sequential(
        nn.Conv2d(inputs, outputs, 3, padding=1, bias=False),
        BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
        nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
        BatchNorm2d(outputs),
        nn.ReLU(inplace=True),
    )
