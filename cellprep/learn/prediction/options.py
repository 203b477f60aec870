"""Options of prediction, available without torch."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from cellprep.core.decode.typed import DecoderOptions
from cellprep.errors import UsageError
from cellprep.formats.images.orientation import TurnedBy
from cellprep.formats.images.planes import StackOptions, Stacks
from cellprep.formats.writers import EXPORTERS
from cellprep.learn.prediction.outputs import format_of_predictions
from cellprep.learn.settings import ByClass, Decoder, Decoding, Device, MinArea, Precision, of_classes
from cellprep.store import Store
from cellprep.system.options import Option, Quiet, documented, take_values
from cellprep.text.wording import printable

_MODELS = Path(__file__).parents[1] / "models"

#: Bundled weights, which can be given by name for prediction.
SHIPPED = {path.stem: path for path in sorted(_MODELS.glob("*.safetensors"))}

#: The default weights.
DEFAULT_WEIGHTS = "nuclei"


def _as_diameter(given: Any) -> float | str:
    """Parse a diameter: a number, or auto."""
    try:
        return "auto" if given == "auto" else float(given)
    except (TypeError, ValueError):
        raise UsageError(f"diameter {given!r} is neither a number of pixels nor auto") from None


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class PredictionOptions:
    """The options of a prediction run.

    Raises
    ------
    UsageError
        If a value is not valid.

    Examples
    --------
    >>> PredictionOptions(precision="float16")
    Traceback (most recent call last):
    cellprep.errors.UsageError: precision 'float16' is unknown: use one of auto, float32, bfloat16
    """

    orientation: TurnedBy = None
    planes: Stacks = field(default_factory=StackOptions)
    pixel_size: Annotated[
        float | None,
        Option(
            "Side of the images' pixels, in micrometres; by default read from their files. Images are rescaled to the "
            "pixel size of the weights, if these have one.",
            group="Images",
        ),
    ] = None
    diameter: Annotated[
        float | Literal["auto"] | None,
        Option(
            "Typical diameter of the cells, in pixels. Images are rescaled so that it matches that of the training "
            "cells; auto estimates it for each image.",
            metavar="PIXELS|auto",
            parse=_as_diameter,
            group="Images",
        ),
    ] = None
    decoder: Decoder = None
    decoder_options: DecoderOptions = field(default_factory=dict)
    min_area: MinArea = None
    by_class: ByClass = field(default_factory=dict)
    tta: Annotated[
        bool, Option("Average the predictions over the eight flips and rotations of each image.", group="Decoding")
    ] = False
    device: Device = "auto"
    precision: Precision = "float32"
    tile_size: Annotated[
        int,
        Option("Longest side that a network processes at once, in pixels; larger images are tiled.", group="Run"),
    ] = 1024
    batch_size: Annotated[
        int, Option("Number of tiles that a network processes at once.", aliases=("--batch",), group="Run")
    ] = 1
    quiet: Quiet = False

    def __post_init__(self) -> None:
        take_values(self)
        object.__setattr__(self, "by_class", of_classes(self.by_class))
        if self.decoder is None:  # its options are checked once it is known
            Decoding().changed(min_area=self.min_area)
        else:
            self.decoding(Decoding())
        if self.pixel_size is not None and not 0 < self.pixel_size < float("inf"):
            raise UsageError(f"pixel size {self.pixel_size} is not a length above 0, in micrometres")
        if isinstance(self.diameter, float) and not 0 < self.diameter < float("inf"):
            raise UsageError(f"diameter {self.diameter} is neither a length above 0, in pixels, nor auto")
        if self.diameter is not None and self.pixel_size is not None:
            raise UsageError("--pixel-size and --diameter both set the scale of the images: give only one of them")
        for name, number in (("tile size", self.tile_size), ("batch size", self.batch_size)):
            if number < 1:
                raise UsageError(f"{name} is {number}: give 1 or more")

    def decoding(self, usual: Decoding, factor: float = 1.0) -> Decoding:
        """Return the decoding of maps: `usual`, changed by these options.

        A minimum area in the options is in pixels of the image; networks see `factor` pixels for each.
        """
        by_class = {name: replace(its, min_area=_scaled(its.min_area, factor)) for name, its in self.by_class.items()}
        return usual.changed(self.decoder, _scaled(self.min_area, factor), self.decoder_options, by_class)


def _scaled(area: int | None, factor: float) -> int | None:
    return None if area is None else round(area * factor)


SemsegWeights = Annotated[
    Path | str | None, Option("Weights of a semseg network, which predicts masks of cells and walls.", group="Weights")
]


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class MaskOptions:
    """The source of masks: one of these, unless the weights are a bundle with a semseg network.

    From a store, the masks of cells are used, but not their walls, which would reveal the instances. If it is also the
    store of the images, a semantic network takes precedence.
    """

    semseg_weights: SemsegWeights = None
    masks: Annotated[
        Path | str | None,
        Option(
            "Label or mask images, named by id, or other annotations, used as masks of cells.",
            metavar="SOURCE",
            group="Weights",
        ),
    ] = None
    data: Annotated[
        Store | Path | str | None,
        Option(
            "Store or its URL, whose true masks are used; without IMAGES, the store of the images, too.",
            metavar="STORE",
            group="Weights",
        ),
    ] = None


_DEFAULT_TO = ("label-tiff",)


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class OutputOptions:
    """The outputs of a prediction.

    Raises
    ------
    UsageError
        If a format is unknown, repeated or missing.
    """

    to: Annotated[
        Sequence[str], Option(f"Format to write, repeatable; by default {_DEFAULT_TO[0]}", EXPORTERS, group="Output")
    ] = _DEFAULT_TO
    maps: Annotated[
        Path | str | None, Option("Zarr group to write, with semseg, uvec and energy of every image.", group="Output")
    ] = None
    overlay: Annotated[bool, Option("Also write images with the outlines of instances.", group="Output")] = False
    classes: Annotated[
        Sequence[str],
        Option(
            "Class of cells to keep, repeatable or comma-separated; by default all.",
            flags=("--class",),
            metavar="NAME",
            group="Output",
        ),
    ] = ()

    @property
    def needs_scores(self) -> bool:
        """True if a format contains confidences."""
        return any("scores" in format_of_predictions(name).holds for name in self.to)

    def __post_init__(self) -> None:
        take_values(self)
        unknown = [name for name in self.to if name not in EXPORTERS]
        if unknown or not self.to or len(set(self.to)) < len(self.to):
            wrong = f"output format {unknown[0]!r} is unknown" if unknown else f"output formats are {self.to}"
            raise UsageError(f"{wrong}: give one or several of {', '.join(EXPORTERS)}, each once")


def known_classes(asked: Iterable[str], known: Sequence[str]) -> set[str]:
    """Return the requested classes; a string may contain several, separated by commas.

    Raises
    ------
    UsageError
        If a class is unknown.

    Examples
    --------
    >>> sorted(known_classes(["b,c", "a, old"], ["a, old", "b", "c"]))
    ['a, old', 'b', 'c']
    """
    names = {name for text in asked for name in ([text] if text in known else map(str.strip, text.split(",")))}
    if unknown := sorted(names.difference(known)):
        there = f"use {', '.join(map(printable, known))}" if known else "they have no classes of cells"
        raise UsageError(f"class {printable(unknown[0])} is unknown to these weights: {there}")
    return names


def refuse_instances(outputs: OutputOptions, options: PredictionOptions) -> None:
    """Refuse options for instances if none are predicted.

    Raises
    ------
    UsageError
        If such an option is given.
    """
    asked = {
        "--to": outputs.to != _DEFAULT_TO,
        "--overlay": outputs.overlay,
        "--decoder": options.decoder is not None,
        "--decoder-option": bool(options.decoder_options),
        "--min-area": options.min_area is not None,
        "--per-class": bool(options.by_class),
        "--class": bool(outputs.classes),
        "--diameter auto": options.diameter == "auto",
    }
    wrong = [name for name, given in asked.items() if given]
    if wrong:
        raise UsageError(f"{wrong[0]} needs instances, which a dn alone does not predict: omit it, or give a wtn, too")
