"""Cellpose's flows compared with the package cellpose."""

import importlib
import sys
from types import ModuleType
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets.flows import flows

PACKAGE = "cellpose"


def ours(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the targets of a label image as this package makes them."""
    return {"cellpose_flows": flows(labels), "cellpose_probability": (labels > 0).astype(np.float32)}


def peer(labels: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Return the same as cellpose makes them for its own training: `dynamics.labels_to_flows`, on one CPU."""
    _, probability, y, x = _dynamics().labels_to_flows([labels.copy()])[0]
    return {"cellpose_flows": np.stack([y, x], axis=-1), "cellpose_probability": probability}


def _dynamics() -> ModuleType:
    """Import cellpose's module without torchvision, which flows do not need."""
    try:
        importlib.import_module("torchvision")
    except ImportError:
        for name in ("torchvision", "torchvision.transforms"):
            stand_in = ModuleType(name)
            stand_in.__dict__.update(transforms=None, functional=None, _functional_tensor=None)
            sys.modules[name] = stand_in
    importlib.import_module("torch").set_num_threads(1)  # waiting threads take time, too
    return importlib.import_module("cellpose.dynamics")
