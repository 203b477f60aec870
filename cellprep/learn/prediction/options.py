"""How prediction runs and what it writes: known without torch."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from cellprep.errors import UsageError
from cellprep.formats.images.orientation import Orientation, check_orientation
from cellprep.formats.writers import EXPORTERS
from cellprep.learn.prediction.outputs import format_of_predictions
from cellprep.learn.settings import DEVICES, PRECISIONS, Decoding

#: The bundle that is meant unless weights are named.
DEFAULT_WEIGHTS = "nuclei"


@dataclass(frozen=True, slots=True)
class PredictionOptions:
    """How prediction runs.

    Attributes
    ----------
    device
        One of `DEVICES`.
    precision
        A name in `PRECISIONS`.
    tta
        Whether each network sees each image in its eight flips and quarter turns, and their mean counts.
    tile_size
        Longest side, in pixels, of an image that a network sees at once, with its padding. Larger images are seen in
        overlapping tiles, which takes less memory and gives the same.
    batch_size
        Number of tiles that a network sees at once.
    decoder
        A name in `cellprep.DECODERS`; the one that the weights name unless given.
    min_area
        Pixels that an instance has at least, smaller ones being left out; as the weights have it unless given.
    decoder_options
        Values of the decoder's options by name; those that are not named are as the weights have them for this decoder,
        or else the decoder's own.
    quiet
        Whether to show no progress.
    orientation
        Whether image files are turned as their Orientation tag (EXIF) says: apply or ignore. Unless given, they are,
        but where masks that are given have the size of the image as it is stored.

    Raises
    ------
    UsageError
        If a value is none that it can have.

    Examples
    --------
    >>> PredictionOptions(precision="float16")
    Traceback (most recent call last):
    cellprep.errors.UsageError: precision 'float16' is unknown: it is one of auto, float32, bfloat16
    """

    device: str = "auto"
    precision: str = "float32"
    tta: bool = False
    tile_size: int = 1024
    batch_size: int = 1
    decoder: str | None = None
    min_area: int | None = None
    quiet: bool = False
    decoder_options: Mapping[str, float] = field(default_factory=dict)
    orientation: Orientation | None = None

    def __post_init__(self) -> None:
        check_orientation(self.orientation)
        for name, value, known in (("device", self.device, DEVICES), ("precision", self.precision, PRECISIONS)):
            if value not in known:
                raise UsageError(f"{name} {value!r} is unknown: it is one of {', '.join(known)}")
        if self.decoder is None:  # the options are checked when it is known
            Decoding().changed(min_area=self.min_area)
        else:
            self.decoding(Decoding())
        for name, number in (("tile size", self.tile_size), ("batch size", self.batch_size)):
            if number < 1:
                raise UsageError(f"{name} {number} is not possible: give 1 or more")

    def decoding(self, usual: Decoding) -> Decoding:
        """Return how maps are decoded: as asked for, and else as usual."""
        return usual.changed(self.decoder, self.min_area, self.decoder_options)


_DEFAULT_TO = ("label-tiff",)


@dataclass(frozen=True, slots=True)
class OutputOptions:
    """What prediction writes.

    Attributes
    ----------
    to
        Names in `EXPORTERS`, each once.
    maps
        Where to write the maps that instances were decoded from; nowhere unless given.
    overlay
        Whether to draw the outlines of instances on each image.

    Raises
    ------
    UsageError
        If there is no such format, or none.
    """

    to: tuple[str, ...] = _DEFAULT_TO
    maps: Path | str | None = None
    overlay: bool = False

    @property
    def needs_scores(self) -> bool:
        """Whether a format writes how sure the networks are."""
        return any("scores" in format_of_predictions(name).holds for name in self.to)

    def __post_init__(self) -> None:
        unknown = [name for name in self.to if name not in EXPORTERS]
        if unknown or not self.to or len(set(self.to)) < len(self.to):
            wrong = f"output format {unknown[0]!r} is unknown" if unknown else f"output formats are {self.to}"
            raise UsageError(f"{wrong}: give one or several of {', '.join(EXPORTERS)}, each once")


def refuse_instances(outputs: OutputOptions, options: PredictionOptions) -> None:
    """Refuse what only instances can be asked, where none are told.

    Raises
    ------
    UsageError
        If it was asked for.
    """
    asked = {
        "--to": outputs.to != _DEFAULT_TO,
        "--overlay": outputs.overlay,
        "--decoder": options.decoder is not None,
        "--decoder-option": bool(options.decoder_options),
        "--min-area": options.min_area is not None,
    }
    wrong = [name for name, given in asked.items() if given]
    if wrong:
        raise UsageError(f"a dn alone tells no instances, which {wrong[0]} is of: leave it out, or give a wtn, too")
