"""Networks that learn from stores: training and prediction, with torch.

Only this package imports torch, and not before it is used: the names below are loaded when they are asked for.
What the command line needs to know is known without torch: the networks in `cellprep.learn.networks`, the rest in
`cellprep.learn.settings`.
"""

import errno
from importlib import import_module
from typing import Any

from cellprep.errors import MissingExtraError
from cellprep.system.starting import files_limit, memory_limit

_LEAST_FILES = 64
_LEAST_MEMORY = 1.5 * 2**30  # bytes: of small networks, too

# Where each public name lives.
_HOMES = {
    "Network": "learn.networks.network",
    "NetworkSettings": "learn.networks",
    "build_network": "learn.networks.network",
    "load_vgg16": "learn.networks.vgg16",
    "direction_loss": "learn.losses",
    "energy_loss": "learn.losses",
    "semseg_loss": "learn.losses",
    "Normalisation": "learn.normalisation",
    "Weights": "learn.weights",
    "load_weights": "learn.weights",
    "save_weights": "learn.weights",
    "train_loader": "learn.data.loading",
    "validation_loader": "learn.data.loading",
    "TrainOptions": "learn.training.options",
    "train": "learn.training.run",
    "train_all": "workflows.train_all",
    "Bundle": "learn.prediction.bundle",
    "load_bundle": "learn.prediction.bundle",
    "Decoding": "learn.settings",
    "with_decoding": "learn.prediction.bundle",
    "save_bundle": "learn.prediction.bundle",
    "predict": "learn.prediction.run",
    "predict_and_measure": "workflows.predict_and_measure",
    "segment": "learn.prediction.single",
}

__all__ = [*_HOMES]  # noqa: PLE0604 - the keys are strings


def require_torch(purpose: str) -> None:
    """Load torch.

    Raises
    ------
    MissingExtraError
        If the packages of the extra ``train`` are not installed.
    OSError
        If fewer files may be open than processes need that load crops.
    MemoryError
        If less memory is allowed than torch takes to begin: it may hang, or die without a word.
    """
    limit = memory_limit()
    if limit is not None and limit < _LEAST_MEMORY:
        least, most = (f"{size / 2**30:.1f} GiB" for size in (_LEAST_MEMORY, limit))
        raise MemoryError(f"{purpose} takes {least} of memory, and {most} are allowed (ulimit -v)")
    if files_limit() < _LEAST_FILES:  # with fewer, workers that load crops try again for ever
        words = f"{purpose} opens {_LEAST_FILES} files, and {files_limit():.0f} may be open"
        raise OSError(errno.EMFILE, words)
    for package in ("torch", "safetensors"):
        try:
            import_module(package)
        except ImportError as error:
            raise MissingExtraError(purpose, package, "train") from error


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    require_torch(f"cellprep.learn.{name}")
    return getattr(import_module(f"cellprep.{_HOMES[name]}"), name)
