"""Initialising a Direction Network from a VGG-16 that was trained on photographs."""

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from cellprep.errors import UsageError, WeightsError
from cellprep.learn.networks.kind import having
from cellprep.learn.networks.network import Network
from cellprep.learn.networks.published_dn import PublishedDN

_BASE = 64
_RIGHT = "give a VGG-16 as torchvision saves it, .pth or .safetensors"

# Positions of the convolutions in torchvision's VGG-16.
_FIRST = "features.0"
_PLACES = {"conv1": (0, 2), "conv2": (5, 7), "conv3": (10, 12, 14), "conv4": (17, 19, 21), "conv5": (24, 26, 28)}


def load_vgg16(network: Network, path: Path | str) -> None:
    """Copy the convolutions of a VGG-16 into a network, in place.

    A grey image corresponds to a colour image with three equal channels, so the kernels of the three are summed. The
    mask's kernels start at 0, so that the network begins with what the VGG-16 sees in the masked image.

    Parameters
    ----------
    network
        A ``dn`` or ``wn`` of architecture ``published``, 64 base channels, and images of 1 channel, or 3 (red,
        green, blue).
    path
        A file in torchvision's layout, with tensors ``features.0.weight`` and so on: safetensors, or a state
        dictionary saved by torch, from which only tensors are read. Other tensors are ignored.

    Raises
    ------
    UsageError
        If the network does not match.
    WeightsError
        If the file cannot be read, or its tensors are not those of a VGG-16; the network is then unchanged.
    """
    settings = network.settings
    body = next((module for module in network.modules() if isinstance(module, PublishedDN)), None)
    if body is None:
        raise UsageError(f"a VGG-16 fits a published {having('encoder', 'or')}, not {settings}")
    channels = settings.image_channels
    if settings.base_channels != _BASE or channels not in (1, 3):
        raise UsageError(f"a VGG-16 fits {_BASE} base channels and images of 1 or 3 channels, not {settings}")
    path = Path(path)
    found = _read(path)
    taken = {name: (module, *_pair(path, found, name, module)) for name, module in _convolutions(body)}
    for name, (module, weight, bias) in taken.items():
        weights = _first(weight, module, channels) if name == _FIRST else weight
        module.load_state_dict({"weight": weights, "bias": bias})


def _convolutions(body: PublishedDN) -> Iterator[tuple[str, nn.Conv2d]]:
    """Yield the encoder's convolutions with their names in torchvision."""
    for stage, places in _PLACES.items():
        for place, module in zip(places, getattr(body, stage), strict=True):
            yield f"features.{place}", module


def _first(weight: Tensor, module: nn.Conv2d, channels: int) -> Tensor:
    """Return the first kernels for images with this number of channels; that of the mask, if any, is 0."""
    widened = torch.zeros_like(module.weight)
    widened[:, :channels] = weight if channels == 3 else weight.sum(1, keepdim=True)
    return widened


def _pair(path: Path, found: Mapping[str, Any], name: str, module: nn.Conv2d) -> tuple[Tensor, Tensor]:
    """Return the checked weight and bias of a convolution."""
    inputs = 3 if name == _FIRST else module.in_channels
    shapes = {"weight": (module.out_channels, inputs, *module.kernel_size), "bias": (module.out_channels,)}
    for kind, shape in shapes.items():
        tensor = found.get(f"{name}.{kind}")
        if not isinstance(tensor, Tensor) or tensor.shape != shape or not tensor.is_floating_point():
            raise WeightsError(f"{path} has no tensor {name}.{kind} of shape {shape}: {_RIGHT}")
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"{path}: tensor {name}.{kind} has values that are not finite")
    return found[f"{name}.weight"], found[f"{name}.bias"]


def _read(path: Path) -> Mapping[str, Any]:
    try:
        if path.suffix == ".safetensors":
            return safetensors.torch.load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises almost any exception for foreign files
        reason = str(error).partition("\n")[0] or type(error).__name__
        raise WeightsError(f"{path} cannot be read ({reason[:150]}): {_RIGHT}") from error
    if not isinstance(found, Mapping):
        raise WeightsError(f"{path} contains no named tensors: {_RIGHT}")
    return found
