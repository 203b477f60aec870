"""The layers that networks are made of, and how they start."""

import math

import torch
from torch import Tensor, nn

# Below this length a vector is too short to be stretched: its gradient would grow without bound.
_SHORTEST = 1e-6


class Body(nn.Module):
    """The layers of a network: they take (N, channels, H, W), and keep N, H and W.

    Attributes
    ----------
    multiple
        H and W must be multiples of this.
    """

    multiple: int


class ConvReLU(nn.Conv2d):
    """A convolution that keeps height and width, with bias, and a ReLU.

    Parameters
    ----------
    inputs, outputs
        Numbers of channels.
    size
        Side of the kernel, odd.
    """

    def __init__(self, inputs: int, outputs: int, size: int = 3) -> None:
        super().__init__(inputs, outputs, size, padding=size // 2)

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        return torch.relu_(super().forward(input))


class Upsampling(nn.ConvTranspose2d):
    """A transposed convolution that multiplies height and width, and starts as bilinear interpolation.

    Parameters
    ----------
    channels
        Number of channels that come in and go out.
    factor
        Factor by which height and width grow: 2 or 4.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Make each channel its own bilinear interpolation (long2015fcn's start of such layers)."""
        size, factor = self.kernel_size[0], self.stride[0]
        ramp = 1 - (torch.arange(size, device=self.weight.device) - (size - 1) / 2).abs() / factor
        self.weight.zero_()
        for channel in range(self.in_channels):
            self.weight[channel, channel] = ramp[:, None] * ramp


def stage(*convolutions: nn.Module) -> nn.Sequential:
    """Return modules in a row, named 1, 2, ... as the paper counts them."""
    row = nn.Sequential()
    for number, module in enumerate(convolutions, 1):
        row.add_module(str(number), module)
    return row


def unit_length(vectors: Tensor) -> Tensor:
    """Return vectors (N, 2, H, W) stretched to length 1, at least float32.

    A zero vector stays zero, and its gradient is finite.

    Examples
    --------
    >>> unit_length(torch.tensor([3.0, 4.0]).reshape(1, 2, 1, 1)).flatten()
    tensor([0.6000, 0.8000])
    """
    vectors = vectors.to(torch.promote_types(vectors.dtype, torch.float32))
    squares = vectors.square().sum(1, keepdim=True)
    return vectors * squares.clamp_min(_SHORTEST**2).rsqrt()


@torch.no_grad()
def initialise(network: nn.Module, generator: torch.Generator | None) -> None:
    """Give every parameter and buffer its first value.

    Convolutions start as He et al. (2015, arXiv 1502.01852) have it, normal with variance 2 / fan-in and no bias,
    so that networks of any depth learn from nothing; `Upsampling` starts as bilinear interpolation.

    Parameters
    ----------
    network
        Of convolutions and batch normalisations; what its tensors hold is not looked at.
    generator
        Source of the random numbers; torch's own if None.
    """
    for module in network.modules():
        if isinstance(module, (Upsampling, nn.BatchNorm2d)):
            module.reset_parameters()
        elif isinstance(module, (nn.Conv2d, nn.ConvTranspose2d)):
            module.weight.normal_(0, math.sqrt(2 / _fan_in(module)), generator=generator)
            if module.bias is not None:
                module.bias.zero_()


def _fan_in(module: nn.Conv2d | nn.ConvTranspose2d) -> float:
    """Return the number of products that are added up for a value that comes out."""
    products = module.in_channels * math.prod(module.kernel_size)
    return products / math.prod(module.stride) if module.transposed else products
