"""The choice of what is read of images with several channels, z planes or times: known without what reads them."""

import json
from dataclasses import dataclass, replace
from typing import Annotated, Any, TypeVar

from cellprep.errors import UsageError
from cellprep.system.options import Option, documented
from cellprep.text.wording import printable

T = TypeVar("T")

#: The projections along z.
PROJECTIONS = ("max", "mean", "focus")


def _parse_z(typed: str) -> int | str:
    return int(typed) if typed.isdecimal() else typed


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """The planes that are read of an image that is a stack; numbers count from 0.

    Raises
    ------
    UsageError
        If a value is none that it can have.

    Examples
    --------
    >>> StackOptions(channel="DAPI", z=3).to_dict()
    {'channel': ['DAPI'], 'z': 3}
    >>> StackOptions(z="min")
    Traceback (most recent call last):
    cellprep.errors.UsageError: z is 'min': give the number of a plane, from 0, or one of max, mean, focus
    """

    channel: Annotated[
        tuple[str | int, ...],
        Option(
            "Channel of the images to read, repeatable, in this order: its name in the file's metadata, or its number, "
            "which counts from 0. All unless given.",
            metavar="NAME|N",
            parse=tuple,
        ),
    ] = ()
    z: Annotated[
        int | str | None,
        Option(
            "The z plane of the images to read, which counts from 0; or max, mean (rounded for integers) or focus, the "
            "plane with the largest variance of its Laplacian, the first of equals.",
            metavar="N|max|mean|focus",
            parse=_parse_z,
        ),
    ] = None
    time: Annotated[int | None, Option("The time of the images to read, which counts from 0.", metavar="N")] = None
    grey: Annotated[
        bool,
        Option("Turn RGB images into one channel, the luminance (0.2125 R + 0.7154 G + 0.0721 B), in their own type."),
    ] = False

    def __post_init__(self) -> None:
        given = (self.channel,) if isinstance(self.channel, (str, int)) else tuple(self.channel)
        object.__setattr__(self, "channel", given)
        for one in given:
            if isinstance(one, bool) or not (isinstance(one, str) or (isinstance(one, int) and one >= 0)):
                raise UsageError(f"channel is {one!r}: give the name of a channel, or its number, from 0")
        is_number = isinstance(self.z, int) and not isinstance(self.z, bool) and self.z >= 0
        if not (self.z is None or is_number or self.z in PROJECTIONS):
            raise UsageError(f"z is {self.z!r}: give the number of a plane, from 0, or one of {', '.join(PROJECTIONS)}")
        if self.time is not None and (isinstance(self.time, bool) or self.time < 0):
            raise UsageError(f"time is {self.time!r}: give the number of a time, from 0")

    def __str__(self) -> str:
        told = self.to_dict()
        told |= {"channel": ", ".join(map(printable, map(str, self.channel)))} if self.channel else {}
        return "; ".join(name if value is True else f"{name} {value}" for name, value in told.items())

    def __bool__(self) -> bool:
        return self.chooses or self.grey

    @property
    def chooses(self) -> bool:
        """Whether channels, z or time are chosen."""
        return bool(self.channel) or self.z is not None or self.time is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the options that were given, as JSON has them."""
        given = {"channel": list(self.channel) or None, "z": self.z, "time": self.time, "grey": self.grey or None}
        return {name: value for name, value in given.items() if value is not None}

    def words(self) -> str:
        """Return the options that were given, as a text that tells every two choices apart."""
        return f"planes {json.dumps(self.to_dict(), sort_keys=True)}"


Stacks = Annotated[
    StackOptions, Option("Which planes of image files are read; its options are taken by their names, too.")
]


def with_planes(pixels: T, options: StackOptions | None) -> T:
    """Return what is known of an image, as it is to be read: with the planes chosen.

    Raises
    ------
    UsageError
        If planes are chosen of what is no file: a store's image, or an array.
    """
    if not options or pixels is None:
        return pixels
    if not hasattr(pixels, "planes"):
        raise UsageError(
            f"{pixels} is no image file: --channel, --z, --time and --grey choose what is read of files; leave them out"
        )
    return replace(pixels, planes=options)  # type: ignore[type-var]
