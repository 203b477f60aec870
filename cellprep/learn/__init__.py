"""Networks that learn from stores: training and prediction, with torch.

Only this package imports torch, and only when it is needed: names are loaded on first access, from the modules that
`__init__.pyi` names.
What the command line needs is available without torch: the networks in `cellprep.learn.networks`, the rest in
`cellprep.learn.settings`.
"""

import errno
from importlib import import_module
from typing import Any

import lazy_loader

from cellprep.errors import MissingExtraError
from cellprep.system.starting import files_limit, memory_limit

_LEAST_FILES = 64
_LEAST_MEMORY = 1.5 * 2**30  # bytes: even for small networks

_load, _, __all__ = lazy_loader.attach_stub(__name__, __file__)
__all__ += ["FinetuneReport", "finetune", "predict_and_measure", "train_all", "train_folds", "tune"]
_ABOVE = __all__[-6:]  # from packages above this one, which a stub must not load


def require_torch(purpose: str) -> None:
    """Load torch.

    Raises
    ------
    MissingExtraError
        If the packages of the extra ``train`` are not installed.
    OSError
        If the limit of open files is too low for the processes that load crops.
    MemoryError
        If the memory limit is too low for torch to start: it may hang, or die without a message.
    """
    limit = memory_limit()
    if limit is not None and limit < _LEAST_MEMORY:
        least, most = (f"{size / 2**30:.1f} GiB" for size in (_LEAST_MEMORY, limit))
        raise MemoryError(f"{purpose} needs {least} of memory, but the limit is {most} (ulimit -v)")
    if files_limit() < _LEAST_FILES:  # with fewer, workers that load crops retry for ever
        words = f"{purpose} opens {_LEAST_FILES} files, but only {files_limit():.0f} may be open"
        raise OSError(errno.EMFILE, words)
    for package in ("torch", "safetensors"):
        try:
            import_module(package)
        except ImportError as error:
            raise MissingExtraError(purpose, package, "train") from error


def __getattr__(name: str) -> Any:
    if name in __all__:
        require_torch(f"{__name__}.{name}")
    if name in _ABOVE:
        module = name.lower().removesuffix("report")
        return getattr(import_module(f"cellprep.workflows.{module}"), name)
    return _load(name)


def __dir__() -> list[str]:
    return __all__
