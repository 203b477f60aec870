"""Files of weights: each contains everything needed to rebuild and use its network, but no code."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
import safetensors
import safetensors.torch
import torch
from torch import Tensor

from cellprep._version import __version__
from cellprep.core.targets import Recipe
from cellprep.errors import CellprepError, WeightsError
from cellprep.learn.appearance import AppearanceRange
from cellprep.learn.networks.kind import NetworkSettings
from cellprep.learn.networks.network import Network, empty_network
from cellprep.learn.normalisation import Normalisation
from cellprep.learn.settings import Decoding
from cellprep.system.files import open_file
from cellprep.system.output import write_whole
from cellprep.system.places import local_path
from cellprep.text.wording import count, printable

#: The name of the best weights in the folder of a run.
BEST = "best.safetensors"

#: The names of the bundle in the folders of trainings of all networks, and of fine-tuning.
BUNDLE, FINE_TUNED = "cells.safetensors", "finetuned.safetensors"

_FORMAT = 1
_KEY = "cellprep"
_RIGHT = "give a file from `cellprep train`"

Mask = Literal["cells-and-walls", "cells", "none"]


@dataclass(frozen=True, slots=True)
class Weights:
    """A network with everything needed to use it.

    Attributes
    ----------
    network
        The network; `settings` are those that it was built from.
    normalisation
        Normalisation of its images; None for ``wtn``, which sees none.
    recipe
        Recipe of the targets that it was trained on.
    mask
        Pixels in its input mask: ``cells-and-walls``, ``cells``, or ``none`` if it sees no mask.
    training
        Facts about its training: any JSON values.
    version
        The version of cellprep that trained it.
    decoding
        Default decoding of predicted energy; that of ``wtn`` or ``wn`` is used.
    appearance
        Appearance of the training cells; None if it sees no images, or if it was not measured.
    pixel_size
        Side of the training images' pixels, in micrometres; None if it is unknown, or varies.
    """

    network: Network
    normalisation: Normalisation | None = None
    recipe: Recipe = field(default_factory=Recipe)
    mask: str = "cells-and-walls"
    training: dict[str, Any] = field(default_factory=dict)
    version: str = __version__
    decoding: Decoding = field(default_factory=Decoding)
    appearance: AppearanceRange | None = None
    pixel_size: float | None = None

    def __repr__(self) -> str:
        its = self.settings
        return f"<Weights of {its.name}: {its.arch}, {count(its.image_channels, 'channel')}, cellprep {self.version}>"

    @property
    def settings(self) -> NetworkSettings:
        """The settings that the network was built from."""
        return self.network.settings


@dataclass(frozen=True, slots=True)
class _Description:
    """The metadata of a file, next to its tensors."""

    network: NetworkSettings
    normalisation: Normalisation | None
    recipe: Recipe
    mask: Mask
    training: dict[str, Any]
    version: str
    decoding: Decoding = field(default_factory=Decoding)
    appearance: AppearanceRange | None = None
    pixel_size: Annotated[float, msgspec.Meta(gt=0)] | None = None


def save_weights(path: Path | str, weights: Weights) -> None:
    """Write a file of weights, completely or not at all; equal weights give equal bytes.

    Parameters
    ----------
    path
        The file, in the safetensors format; its only metadata key, ``cellprep``, contains JSON.
    weights
        The weights; each tensor keeps its dtype.

    Raises
    ------
    WeightsError
        If a weight is not finite, or the facts about the training are not JSON values.
    OutputError
        If the file cannot be written.
    """
    _write(local_path(path, "path"), _tensors(weights), _describe(weights))


def save_all_weights(path: Path | str, parts: Sequence[Weights], *, half: bool = False) -> None:
    """Write the weights of several networks into one file, completely or not at all.

    Networks are distinguished by name; further ones with the same name get a number, such as ``semseg-2``.

    Parameters
    ----------
    path
        The file.
    parts
        The weights.
    half
        Whether to write float16, except for the variances of batch normalisations, whose range is too wide.

    Raises
    ------
    WeightsError, OutputError
        As `save_weights`; WeightsError also if a weight is too large for float16.
    """
    named: dict[str, Weights] = {}
    for weights in parts:
        its = weights.settings.name
        number = 1 + sum(other.settings.name == its for other in named.values())
        named[its if number == 1 else f"{its}-{number}"] = weights
    tensors = {
        f"{its}.{name}": _halved(name, tensor) if half else tensor
        for its, weights in named.items()
        for name, tensor in _tensors(weights).items()
    }
    _write(Path(path), tensors, {"parts": {its: _describe(weights) for its, weights in named.items()}})


def _halved(name: str, tensor: Tensor) -> Tensor:
    return tensor.half() if tensor.is_floating_point() and not name.endswith(".running_var") else tensor


def _tensors(weights: Weights) -> dict[str, Tensor]:
    return {name: tensor.detach().cpu().contiguous() for name, tensor in weights.network.state_dict().items()}


def _describe(weights: Weights) -> dict[str, Any]:
    others = {name: getattr(weights, name) for name in ("mask", "training", "version")}
    normalisation = weights.normalisation and asdict(weights.normalisation)
    network, recipe = weights.settings.to_dict(), weights.recipe.to_dict()
    if weights.appearance:
        others["appearance"] = asdict(weights.appearance)
        if weights.appearance.median_diameter is None:  # so that the bytes of older weights do not change
            del others["appearance"]["median_diameter"]
    if weights.pixel_size:
        others["pixel_size"] = weights.pixel_size
    return {
        "network": network,
        "normalisation": normalisation,
        "recipe": recipe,
        "decoding": weights.decoding.to_dict(),
        **others,
    }


def _write(path: Path, tensors: dict[str, Tensor], description: dict[str, Any]) -> None:
    _check_finite(path, tensors)
    try:
        document = {"format": _FORMAT, **description}
        text = json.dumps(document, sort_keys=True, separators=(",", ":"), allow_nan=False)
    except (TypeError, ValueError) as error:
        raise WeightsError(f"weights {path}: their description is not valid JSON: {error}") from error
    write_whole(path, safetensors.torch.save(tensors, {_KEY: text}))


def load_weights(path: Path | str) -> Weights:
    """Read a file of weights and build its network, without executing any code in the file.

    Parameters
    ----------
    path
        A file from `save_weights`, with tensors of any floating point dtype; or the folder of a run, which stands for
        the best weights in it.

    Returns
    -------
    Weights
        The network is on the CPU, float32, in evaluation mode.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or from another program, or its tensors are not those of its network.
    """
    parts = load_all_weights(path)
    if len(parts) != 1:
        names = ", ".join(weights.settings.name for weights in parts)
        raise WeightsError(f"weights {path} are those of several networks, {names}: {_RIGHT}")
    return parts[0]


def load_all_weights(path: Path | str) -> list[Weights]:
    """Read a file of the weights of one network or of several.

    Parameters
    ----------
    path
        A file from `save_weights` or `save_all_weights`, or the folder of a run, for the best weights in it.

    Raises
    ------
    WeightsError
        As `load_weights`.
    """
    path = weights_file(local_path(path, "path"))
    try:
        with open_file(path), safetensors.safe_open(path, framework="pt") as file:
            descriptions = _read_descriptions(path, file.metadata() or {})
            networks = {prefix: empty_network(found.network) for prefix, found in descriptions.items()}
            expected = {
                prefix + name: tensor for prefix, one in networks.items() for name, tensor in one.state_dict().items()
            }
            _check_names(path, set(file.keys()), set(expected))
            tensors = {name: _read(path, file, name, tensor) for name, tensor in expected.items()}
    except OSError as error:
        raise WeightsError(f"weights {path} cannot be read: {error.strerror or error}") from error
    except safetensors.SafetensorError as error:
        raise WeightsError(f"weights {path} are damaged or not a safetensors file ({error}): {_RIGHT}") from error
    _check_finite(path, tensors)
    return [_weights(descriptions[prefix], network, tensors, prefix) for prefix, network in networks.items()]


def weights_file(path: Path) -> Path:
    """Return the file of weights for a path: for the folder of a run, the best weights in it."""
    return path / BEST if path.is_dir() else path


def describe_weights(path: Path | str) -> dict[str, dict[str, Any]]:
    """Read the facts about the training of each network in a file, by its name there; no tensor is read.

    Raises
    ------
    WeightsError
        If the file is missing, damaged or from another program.
    """
    path = Path(path)
    try:
        with open_file(path), safetensors.safe_open(path, framework="pt") as file:
            found = _read_descriptions(path, file.metadata() or {})
    except (OSError, safetensors.SafetensorError) as error:
        raise WeightsError(f"weights {path} cannot be read ({error}): {_RIGHT}") from error
    return {prefix.removesuffix(".") or one.network.name: one.training for prefix, one in found.items()}


def _weights(found: _Description, network: Network, tensors: Mapping[str, Tensor], prefix: str) -> Weights:
    own = {name: tensors[prefix + name] for name in network.state_dict()}
    network.load_state_dict(own, assign=True)
    same = ("normalisation", "recipe", "mask", "training", "version", "decoding", "appearance", "pixel_size")
    return Weights(network.eval(), **{name: getattr(found, name) for name in same})


def _read_descriptions(path: Path, metadata: Mapping[str, str]) -> dict[str, _Description]:
    """Return the description of each network, by the prefix of its tensors."""
    if _KEY not in metadata:
        raise WeightsError(f"weights {path} are from another program: {_RIGHT}")
    try:
        document = msgspec.json.decode(metadata[_KEY])
        found = document.pop("format", None) if isinstance(document, dict) else None
        if found != _FORMAT:
            raise WeightsError(f"weights {path} have format {found!r}: this version of cellprep reads {_FORMAT}")
        if "parts" not in document:
            return {"": msgspec.convert(document, _Description)}
        parts = msgspec.convert(document["parts"], dict[str, _Description])
        return {f"{name}.": part for name, part in parts.items()}
    except WeightsError:
        raise
    except (msgspec.MsgspecError, CellprepError, RecursionError) as error:
        raise WeightsError(f"weights {path} have an invalid description ({error}): {_RIGHT}") from error


def _check_names(path: Path, found: set[str], expected: set[str]) -> None:
    for kind, names in (("lack", expected - found), ("have an unknown", found - expected)):
        if names:
            raise WeightsError(
                f"weights {path} {kind} tensor {printable(min(names))} ({len(names):,} such): "
                f"they do not match the network that they name; {_RIGHT}"
            )


def _read(path: Path, file: Any, name: str, expected: Tensor) -> Tensor:
    shape = tuple(file.get_slice(name).get_shape())
    if shape != expected.shape:
        raise WeightsError(f"weights {path}: tensor {name} has shape {shape}: it must be {tuple(expected.shape)}")
    tensor: Tensor = file.get_tensor(name)
    if tensor.is_floating_point() != expected.is_floating_point():
        raise WeightsError(f"weights {path}: tensor {name} is {tensor.dtype}: it must be {expected.dtype}")
    return tensor.to(expected.dtype, copy=True)  # a copy: the mapped file may change


def _check_finite(path: Path, tensors: Mapping[str, Tensor]) -> None:
    for name, tensor in tensors.items():
        if not torch.isfinite(tensor).all():
            raise WeightsError(f"weights {path}: tensor {name} has values that are not finite: the training failed")
