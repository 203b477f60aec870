"""The layers of networks, and their initialisation."""

import math

import torch
from torch import Tensor, nn

# Shorter vectors are not scaled to unit length: their gradients would grow without bound.
_SHORTEST = 1e-6


class Body(nn.Module):
    """The backbone of a network: its layers take (N, channels, H, W), and keep N, H and W.

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
        Number of channels of the input and the output.
    factor
        Factor by which height and width grow: 2 or 4.
    """

    def __init__(self, channels: int, factor: int) -> None:
        super().__init__(channels, channels, 2 * factor, stride=factor, padding=factor // 2, bias=False)

    @torch.no_grad()
    def reset_parameters(self) -> None:
        """Initialise each channel as bilinear interpolation of itself (as long2015fcn does)."""
        size, factor = self.kernel_size[0], self.stride[0]
        ramp = 1 - (torch.arange(size, device=self.weight.device) - (size - 1) / 2).abs() / factor
        self.weight.zero_()
        for channel in range(self.in_channels):
            self.weight[channel, channel] = ramp[:, None] * ramp


def stage(*convolutions: nn.Module) -> nn.Sequential:
    """Return a sequence of modules named 1, 2, ..., as in the paper."""
    row = nn.Sequential()
    for number, module in enumerate(convolutions, 1):
        row.add_module(str(number), module)
    return row


def unit_length(vectors: Tensor) -> Tensor:
    """Return vectors (N, 2, H, W) scaled to length 1, at least float32.

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
    """Initialise every parameter and buffer.

    Convolutions are initialised as in He et al. (2015, arXiv 1502.01852), normal with variance 2 / fan-in and bias 0,
    so that networks of any depth can be trained from scratch; `Upsampling` starts as bilinear interpolation.

    Parameters
    ----------
    network
        Consists of convolutions and batch normalisations; the present values of its tensors are ignored.
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
    """Return the number of products that are summed for an output value."""
    products = module.in_channels * math.prod(module.kernel_size)
    return products / math.prod(module.stride) if module.transposed else products
