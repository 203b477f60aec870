"""The choice of what is read of images with several channels, z planes or times: known without what reads them."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Annotated, Any, TypeVar

from cellprep.errors import UsageError
from cellprep.system.options import Option, documented, take_values
from cellprep.text.wording import printable

T = TypeVar("T")

#: The projections along z.
PROJECTIONS = ("max", "mean", "focus")


def _parse_z(typed: Any) -> Any:
    return int(typed) if isinstance(typed, str) and typed.isdecimal() else typed


def _is_number(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _plain(value: Any) -> Any:
    """Return one of NumPy's integers as Python's own, which JSON has."""
    return int(value) if isinstance(value, Integral) else value


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """The scene that is read of a file of several, and its planes if it is a stack; numbers count from 0.

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

    scene: Annotated[
        str | int | None,
        Option(
            "The scene (series, position) to read of image files that hold several: its name in the file, or its "
            "number, which counts from 0.",
            metavar="NAME|N",
            parse=_plain,
            group="Images",
        ),
    ] = None
    channel: Annotated[
        Sequence[str | int],
        Option(
            "Channel of the images to read, repeatable, in this order: its name in the file's metadata, or its number, "
            "which counts from 0. All unless given.",
            metavar="NAME|N",
            parse=tuple,
            group="Images",
        ),
    ] = ()
    z: Annotated[
        int | str | None,
        Option(
            "The z plane of the images to read, which counts from 0; or max, mean (rounded for integers) or focus, the "
            "plane with the largest variance of its Laplacian, the first of equals.",
            metavar="N|max|mean|focus",
            parse=_parse_z,
            group="Images",
        ),
    ] = None
    time: Annotated[
        int | None, Option("The time of the images to read, which counts from 0.", metavar="N", group="Images")
    ] = None
    grey: Annotated[
        bool,
        Option(
            "Turn RGB images into one channel, the luminance (0.2125 R + 0.7154 G + 0.0721 B), in their own type.",
            group="Images",
        ),
    ] = False

    def __post_init__(self) -> None:
        take_values(self)
        for one in self.channel:
            if not (isinstance(one, str) or _is_number(one)):
                raise UsageError(f"channel is {one!r:.60}: give the name of a channel, or its number, from 0")
        if not (self.z is None or self.z in PROJECTIONS or _is_number(self.z)):
            raise UsageError(
                f"z is {self.z!r:.60}: give the number of a plane, from 0, or one of {', '.join(PROJECTIONS)}"
            )
        if not (self.scene is None or isinstance(self.scene, str) or _is_number(self.scene)):
            raise UsageError(f"scene is {self.scene!r:.60}: give the name of a scene, or its number, from 0")
        if not (self.time is None or _is_number(self.time)):
            raise UsageError(f"time is {self.time!r:.60}: give the number of a time, from 0")
        object.__setattr__(self, "scene", _plain(self.scene))
        object.__setattr__(self, "channel", tuple(map(_plain, self.channel)))
        object.__setattr__(self, "z", _plain(self.z))
        object.__setattr__(self, "time", _plain(self.time))

    def __str__(self) -> str:
        told = self.to_dict()
        told |= {"scene": printable(str(self.scene))} if self.scene is not None else {}
        told |= {"channel": ", ".join(map(printable, map(str, self.channel)))} if self.channel else {}
        return "; ".join(name if value is True else f"{name} {value}" for name, value in told.items())

    def __bool__(self) -> bool:
        return self.chooses or self.grey or self.scene is not None

    @property
    def chooses(self) -> bool:
        """Whether channels, z or time are chosen."""
        return bool(self.channel) or self.z is not None or self.time is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the options that were given, as JSON has them."""
        given = {
            "scene": self.scene,
            "channel": [*self.channel] or None,
            "z": self.z,
            "time": self.time,
            "grey": True if self.grey else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def words(self) -> str:
        """Return the options that were given, as a text that tells every two choices apart."""
        return f"planes {json.dumps(self.to_dict(), sort_keys=True)}"


Stacks = Annotated[
    StackOptions, Option("Which planes of image files are read; its options are taken by their names, too.")
]


def with_planes(pixels: T, options: StackOptions | None) -> T:
    """Return what is known of an image, as it is to be read: with the planes chosen, of the scene that it is.

    Raises
    ------
    UsageError
        If planes are chosen of what is no file: a store's image, or an array.
    """
    if not options or pixels is None:
        return pixels
    if not hasattr(pixels, "planes"):
        raise UsageError(
            f"{pixels} is no image file: --scene, --channel, --z, --time and --grey choose what is read of files; "
            "leave them out"
        )
    known: Any = pixels
    own = known.planes.scene if known.planes else None
    chosen: T = replace(known, planes=options if own is None else replace(options, scene=own))
    return chosen
