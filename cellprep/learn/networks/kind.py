"""The definition of a network: its inputs, maps, layers, training, metrics and pictures."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from cellprep.core.targets import TARGETS, Recipe
from cellprep.errors import UsageError
from cellprep.learn.networks.architectures import Architecture
from cellprep.learn.networks.panels import Panel
from cellprep.store.metadata import LONGEST_TYPE

if TYPE_CHECKING:
    from torch import Tensor, nn

    from cellprep.learn.networks.layers import Body

Batch = dict[str, "Tensor"]  # of samples: see `cellprep.learn.data.loading.Loader`
Maps = dict[str, "Tensor"]  # predicted maps, by name
Share = tuple[float, float]  # a metric as sum and weight, for pooling images of all sizes
Arrays = Mapping[str, NDArray[Any]]

#: Largest number of classes of cells: a byte holds the number of a class, or "none".
MOST_CLASSES = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkKind:
    """A kind of network, without settings and weights. It is available without torch, which its functions load.

    Attributes
    ----------
    name
        Name of the network.
    about
        Its purpose, in a few words.
    inputs
        Names of its input arrays of a sample, in order.
    maps
        Names of its output maps, each with its number of channels; None for one channel per energy level.
    tells_classes
        Whether it can also predict classes of cells: ``classes`` is then one more map, with a channel per class.
    architectures
        The layers that it may have, by name; the first are the default in settings.
    trained_with
        The architecture that is trained by default.
    parts
        Names of the networks that it consists of; it has their layers, and can start from their weights. ``cellprep
        train all`` trains it last, starting from these.
    options
        The training options that it supports, among those that only some networks support.
    needs_cells
        Whether it can only be trained on instances, cells with their own labels.
    forward
        Function of the settings, the layers or the parts, and the inputs, (N, channels, H, W); returns the map, or a
        tuple of several. By default, the layers are applied to a single input.
    loss
        Function of the maps and the batch; returns a scalar.
    measure
        Function of the settings, the maps and the batch; returns metrics by name.
    panels
        Function of the settings, and of the maps and the sample of an image as arrays; returns pictures by title.
    """

    name: str
    about: str
    inputs: tuple[str, ...]
    maps: Mapping[str, int | None]
    architectures: Mapping[str, Architecture]
    loss: Callable[[Maps, Batch], "Tensor"]
    measure: Callable[["NetworkSettings", Maps, Batch], dict[str, Share]]
    panels: Callable[["NetworkSettings", Arrays, Arrays], dict[str, Panel]]
    forward: Callable[..., "Tensor | tuple[Tensor, ...]"] = lambda _, body, given: body(given)
    tells_classes: bool = False
    trained_with: str = "unet"
    parts: tuple[str, ...] = ()
    options: tuple[str, ...] = ()
    needs_cells: bool = False

    @property
    def sees_images(self) -> bool:
        """True if it sees images."""
        return "image" in self.inputs

    @property
    def depends_on(self) -> list[str]:
        """Names of the settings that determine its layers."""
        return [
            *("arch", "base_channels"),
            *(["image_channels"] if self.sees_images else []),
            *(["masked", "signed_mask"] if "mask" in self.inputs else []),
            *(["levels"] if None in self.maps.values() else []),
            *(["classes"] if "classes" in self.options else []),
        ]

    def channels(self, settings: "NetworkSettings") -> dict[str, int]:
        """Return the number of channels of each input; 0 for inputs that it ignores."""
        mask = 1 + len(settings.classes) if settings.masked or settings.signed_mask else 0
        known = {"image": settings.image_channels, "mask": mask}
        others = {name: len(TARGETS[name].channel_names(Recipe())) or 1 for name in self.inputs if name in TARGETS}
        return {name: (others | known)[name] for name in self.inputs}

    def body(self, settings: "NetworkSettings") -> "Body":
        """Make its backbone."""
        seen = sum(self.channels(settings).values())
        answered = sum(settings.levels if number is None else number for number in self.maps.values())
        answered += len(settings.classes) if self.tells_classes else 0
        return self.architectures[settings.arch].body(seen, answered, settings.base_channels)

    def named(self, answer: "Tensor | tuple[Tensor, ...]") -> Maps:
        """Return the result of `forward` by name."""
        answers = answer if isinstance(answer, tuple) else (answer,)
        names = [*self.maps, "classes"][: len(answers)]
        return dict(zip(names, answers, strict=True))

    def predict(self, network: "nn.Module", batch: Batch) -> Maps:
        """Return the maps of a batch."""
        return self.named(network(*(_shown(name, batch) for name in self.inputs)))


def _shown(name: str, batch: Batch) -> "Tensor":
    """Return an input (N, channels, H, W); a target that another network predicts is 0 outside its domain."""
    if name not in TARGETS:
        return batch[name]
    target = batch[name] if TARGETS[name].channels else batch[name][:, None]
    return target * batch["domain"]


def in_domain(batch: Batch) -> "Tensor":
    """Return the counted pixels in the domain of vectors and energy: (N, H, W) bool."""
    return batch["counts"] & (batch["domain"][:, 0] > 0)


#: The networks by name; the package fills it, as its modules import this one.
NETWORKS: dict[str, NetworkKind] = {}


def find_kind(name: str) -> NetworkKind:
    """Return a network by its name.

    Raises
    ------
    UsageError
        If the network is unknown.
    """
    if name not in NETWORKS:
        raise UsageError(f"network {name!r} is unknown: use one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def having(option: str, last: str = "and") -> str:
    """Return the names of the networks that support an option, joined."""
    return f" {last} ".join(name for name, kind in NETWORKS.items() if option in kind.options)


@dataclass(frozen=True, slots=True)
class NetworkSettings:
    """The settings that a network is built from.

    Attributes
    ----------
    name
        A name in `NETWORKS`.
    arch
        One of the network's architectures.
    base_channels
        Channels of the first layers, which scale all the others; 64 as published.
    image_channels
        Channels of its images (not of ``wtn``).
    levels
        Energy levels (of ``wtn`` and ``wn``).
    masked
        Whether its input and output are limited to the pixels of its input mask. False with the background as a cell.
    signed_mask
        Whether a network that is not ``masked`` sees the mask as one more channel, positive inside and negative
        outside.
    classes
        Names of the classes of cells, by default none: ``semseg`` predicts them, one channel each, and ``dn`` and
        ``wn`` see the mask of each class in addition to the mask of all cells.

    Raises
    ------
    UsageError
        If a value is not valid.

    Examples
    --------
    >>> NetworkSettings("dn", base_channels=16).arch
    'published'
    """

    name: str
    arch: str = ""
    base_channels: int = 64
    image_channels: int = 1
    levels: int = 17
    masked: bool = True
    signed_mask: bool = False
    classes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        known = [*find_kind(self.name).architectures]
        object.__setattr__(self, "arch", self.arch or known[0])
        if self.arch not in known:
            raise UsageError(f"{self.name} has no architecture {self.arch!r}: use one of {', '.join(known)}")
        if self.masked and self.signed_mask:
            raise UsageError("masked and signed_mask contradict each other: choose one")
        for name, least, most in (("base_channels", 1, 1024), ("image_channels", 1, 64), ("levels", 2, 256)):
            value = getattr(self, name)
            if not (isinstance(value, int) and least <= value <= most):
                words = name.replace("_", " ")
                raise UsageError(f"{words} is {value!r}: give a whole number from {least} to {most}")
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.classes:
            _check_classes(self.classes)

    @property
    def kind(self) -> NetworkKind:
        """The network."""
        return NETWORKS[self.name]

    def to_dict(self) -> dict[str, Any]:
        """Return them as JSON values; ``classes`` only if there are any, as older weights have none."""
        values = asdict(self)
        return values if self.classes else {name: value for name, value in values.items() if name != "classes"}


def _check_classes(names: tuple[str, ...]) -> None:
    """Refuse names of classes that are not different, or too many for one byte per pixel."""
    are_names = all(isinstance(name, str) and 0 < len(name) <= LONGEST_TYPE for name in names)
    if not are_names or len(set(names)) < len(names) or not 2 <= len(names) <= MOST_CLASSES:
        raise UsageError(
            f"classes {str(names)[:80]!r} are not valid: give 2 to {MOST_CLASSES} different names, each of "
            f"1 to {LONGEST_TYPE} characters"
        )
