"""The definition of a network: its inputs, maps and layers, its training, and its measures and pictures."""

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
Maps = dict[str, "Tensor"]  # what a network predicts, by name
Share = tuple[float, float]  # a measure as its sum and its weight, so that images of all sizes can be pooled
Arrays = Mapping[str, NDArray[Any]]

#: Classes of cells that a network can tell, at most: the number of one fits into a byte beside "none".
MOST_CLASSES = 254


@dataclass(frozen=True, slots=True, kw_only=True)
class NetworkKind:
    """A network, apart from its settings and weights: known without torch, which its functions load.

    Attributes
    ----------
    name
        Of the network.
    about
        Its purpose, in a few words.
    inputs
        Names of the arrays of a sample that it sees, in the order in which it takes them.
    maps
        The maps that it answers with by name, each with its number of channels; None for one channel per energy level.
    tells_classes
        Whether it can learn the classes of cells, too: ``classes`` is then one more map, with a channel per class.
    architectures
        The layers that it may have, by name; the first ones are meant where settings name none.
    trained_with
        The architecture that is trained by default.
    parts
        Names of the networks that it consists of; it has their layers, and can start from their weights. ``cellprep
        train all`` trains it last, from these.
    options
        Those options of a training that only some networks have, of which it has these.
    needs_cells
        Whether it can learn from cells alone, each with a label of its own.
    forward
        Takes the settings, the layers or else the parts, and the inputs, (N, channels, H, W); returns the map, or a
        tuple of several. Unless given, the layers answer to a single input.
    loss
        Takes the maps and the batch, and returns a scalar.
    measure
        Takes the settings, the maps and the batch, and returns measures by name.
    panels
        Takes the settings, and the maps and the sample of an image as arrays, and returns pictures by their titles.
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
        """Whether it sees images."""
        return "image" in self.inputs

    @property
    def depends_on(self) -> list[str]:
        """Names of the settings that decide what its layers are."""
        return [
            *("arch", "base_channels"),
            *(["image_channels"] if self.sees_images else []),
            *(["masked", "signed_mask"] if "mask" in self.inputs else []),
            *(["levels"] if None in self.maps.values() else []),
            *(["classes"] if "classes" in self.options else []),
        ]

    def channels(self, settings: "NetworkSettings") -> dict[str, int]:
        """Return the number of channels of each input; 0 for one that it does not look at."""
        mask = 1 + len(settings.classes) if settings.masked or settings.signed_mask else 0
        known = {"image": settings.image_channels, "mask": mask}
        others = {name: len(TARGETS[name].channel_names(Recipe())) or 1 for name in self.inputs if name in TARGETS}
        return {name: (others | known)[name] for name in self.inputs}

    def body(self, settings: "NetworkSettings") -> "Body":
        """Make its layers."""
        seen = sum(self.channels(settings).values())
        answered = sum(settings.levels if number is None else number for number in self.maps.values())
        answered += len(settings.classes) if self.tells_classes else 0
        return self.architectures[settings.arch].body(seen, answered, settings.base_channels)

    def named(self, answer: "Tensor | tuple[Tensor, ...]") -> Maps:
        """Return what `forward` returned, by name."""
        answers = answer if isinstance(answer, tuple) else (answer,)
        names = [*self.maps, "classes"][: len(answers)]
        return dict(zip(names, answers, strict=True))

    def predict(self, network: "nn.Module", batch: Batch) -> Maps:
        """Return the maps of a batch."""
        return self.named(network(*(_shown(name, batch) for name in self.inputs)))


def _shown(name: str, batch: Batch) -> "Tensor":
    """Return an input, (N, channels, H, W); a target that another network is to predict is shown where that answers."""
    if name not in TARGETS:
        return batch[name]
    target = batch[name] if TARGETS[name].channels else batch[name][:, None]
    return target * batch["domain"]


def in_domain(batch: Batch) -> "Tensor":
    """Return which pixels count of those where vectors and energy are defined: (N, H, W) bool."""
    return batch["counts"] & (batch["domain"][:, 0] > 0)


#: The networks by name; the package fills it, as its modules build on this one.
NETWORKS: dict[str, NetworkKind] = {}


def find_kind(name: str) -> NetworkKind:
    """Return a network by its name.

    Raises
    ------
    UsageError
        If there is no such network.
    """
    if name not in NETWORKS:
        raise UsageError(f"network {name!r} is unknown: use one of {', '.join(NETWORKS)}")
    return NETWORKS[name]


def having(option: str, last: str = "and") -> str:
    """Name the networks that have an option."""
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
        Channels of the images that it sees (not of ``wtn``).
    levels
        Energy levels (of ``wtn`` and ``wn``).
    masked
        Whether it sees, and answers for, the pixels of its input mask only. False where the background is
        a cell of its own.
    signed_mask
        Whether a network that is not ``masked`` sees the mask as one more channel, positive within and negative
        outside.
    classes
        Names of the classes of cells: ``semseg`` tells them, one channel each, and ``dn`` and ``wn`` see the mask of
        each besides the mask of all cells. Unless given there are none.

    Raises
    ------
    UsageError
        If a value is none that it can have.

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
            raise UsageError(f"{self.name} has no architecture {self.arch!r}: it is one of {', '.join(known)}")
        if self.masked and self.signed_mask:
            raise UsageError("a network is masked, or sees a mask of both signs: choose one")
        for name, least, most in (("base_channels", 1, 1024), ("image_channels", 1, 64), ("levels", 2, 256)):
            value = getattr(self, name)
            if not (isinstance(value, int) and least <= value <= most):
                words = name.replace("_", " ")
                raise UsageError(f"{words} {value!r} is not possible: give a whole number from {least} to {most}")
        object.__setattr__(self, "classes", tuple(self.classes))
        if self.classes:
            _check_classes(self.classes)

    @property
    def kind(self) -> NetworkKind:
        """The network."""
        return NETWORKS[self.name]

    def to_dict(self) -> dict[str, Any]:
        """Return them as JSON has them; ``classes`` only if there are some, as older weights have none."""
        values = asdict(self)
        return values if self.classes else {name: value for name, value in values.items() if name != "classes"}


def _check_classes(names: tuple[str, ...]) -> None:
    """Refuse names of classes that cannot be told apart, or are too many to be kept in a byte a pixel."""
    are_names = all(isinstance(name, str) and 0 < len(name) <= LONGEST_TYPE for name in names)
    if not are_names or len(set(names)) < len(names) or not 2 <= len(names) <= MOST_CLASSES:
        raise UsageError(
            f"classes {str(names)[:80]!r} are not possible: give 2 to {MOST_CLASSES} different names, each of "
            f"1 to {LONGEST_TYPE} characters"
        )
