"""Batch normalisation over the batch of all processes."""

from typing import Any

import torch
from torch import Tensor, nn

from cellprep.learn.processes import processes, sum_over_processes


class BatchNorm2d(nn.BatchNorm2d):
    """Batch normalisation with the mean and variance of the batch of all processes, on any device."""

    def forward(self, input: Tensor) -> Tensor:  # noqa: A002 - the name in torch
        """Normalise (N, C, H, W)."""
        if processes().count == 1 or not self.training:
            return super().forward(input)
        values = input.to(torch.promote_types(input.dtype, torch.float32))
        normalised, mean, variance, pixels = _Normalised.apply(  # type: ignore[no-untyped-call]
            values, self.weight, self.bias, self.eps
        )
        with torch.no_grad():
            self._remember(mean, variance * pixels / (pixels - 1))
        answer: Tensor = normalised.to(input.dtype)
        return answer

    def _remember(self, mean: Tensor, variance: Tensor) -> None:
        assert self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None
        assert self.momentum is not None
        self.running_mean.lerp_(mean, self.momentum)
        self.running_var.lerp_(variance, self.momentum)
        self.num_batches_tracked += 1


class _Normalised(torch.autograd.Function):
    """Normalised values (N, C, H, W), with the mean, the variance and the number of pixels of each channel."""

    @staticmethod
    def forward(ctx: Any, values: Tensor, weight: Tensor, bias: Tensor, eps: float) -> tuple[Tensor, ...]:
        pixels = sum_over_processes(values.new_tensor(values.numel() / values.shape[1]))
        mean = sum_over_processes(_channel_sums(values)) / pixels
        centred = values - _of_channels(mean)
        variance = sum_over_processes(_channel_sums(centred.square())) / pixels
        inverse = (variance + eps).rsqrt()
        ctx.save_for_backward(centred, inverse, weight, pixels)
        ctx.mark_non_differentiable(mean, variance, pixels)
        normalised = torch.addcmul(_of_channels(bias), centred, _of_channels(inverse * weight))
        return normalised, mean, variance, pixels

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx: Any, gradient: Tensor, *_: Tensor) -> tuple[Tensor | None, ...]:
        """Return the gradients; those of weight and bias cover this process's part only, as for all parameters."""
        centred, inverse, weight, pixels = ctx.saved_tensors
        plain, along = _channel_sums(gradient), _channel_sums(gradient * centred)
        means = sum_over_processes(torch.stack([plain, along])) / pixels
        back = gradient - _of_channels(means[0])
        back.addcmul_(centred, _of_channels(means[1] * inverse.square()), value=-1)
        back.mul_(_of_channels(inverse * weight))
        return back, along * inverse, plain, None


def _channel_sums(values: Tensor) -> Tensor:
    return values.sum((0, 2, 3))


def _of_channels(values: Tensor) -> Tensor:
    return values[:, None, None]
