"""Selection of channels, z planes and times of image files, independent of the readers."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from numbers import Integral
from typing import Annotated, Any, TypeVar

from cellprep.errors import UsageError
from cellprep.system.options import Option, documented, take_values
from cellprep.text.wording import printable

T = TypeVar("T")

#: Projections along z.
PROJECTIONS = ("max", "mean", "focus")


def _parse_z(typed: Any) -> Any:
    return int(typed) if isinstance(typed, str) and typed.isdecimal() else typed


def _is_number(value: Any) -> bool:
    return isinstance(value, Integral) and not isinstance(value, bool) and int(value) >= 0


def _plain(value: Any) -> Any:
    """Return a NumPy integer as a Python integer, for JSON."""
    return int(value) if isinstance(value, Integral) else value


@documented
@dataclass(frozen=True, slots=True, kw_only=True)
class StackOptions:
    """The scene to read from a file with several scenes, and the planes of a stack; numbers start from 0.

    Raises
    ------
    UsageError
        If a value is invalid.

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
            "The scene (series, position) to read from image files with several: its name in the file, or its "
            "number from 0.",
            metavar="NAME|N",
            parse=_plain,
            group="Images",
        ),
    ] = None
    channel: Annotated[
        Sequence[str | int],
        Option(
            "Channel of the images to read, repeatable, in this order: its name in the file's metadata, or its number "
            "from 0. All by default.",
            metavar="NAME|N",
            parse=tuple,
            group="Images",
        ),
    ] = ()
    z: Annotated[
        int | str | None,
        Option(
            "Number of the z plane to read, from 0; or max, mean (rounded for integers) or focus, the "
            "plane with the largest variance of its Laplacian, the first in a tie.",
            metavar="N|max|mean|focus",
            parse=_parse_z,
            group="Images",
        ),
    ] = None
    time: Annotated[int | None, Option("Number of the time point to read, from 0.", metavar="N", group="Images")] = None
    grey: Annotated[
        bool,
        Option(
            "Convert RGB images to one channel, the luminance (0.2125 R + 0.7154 G + 0.0721 B), in the same type.",
            group="Images",
        ),
    ] = False

    def __post_init__(self) -> None:
        take_values(self)
        for one in self.channel:
            if not (isinstance(one, str) or _is_number(one)):
                raise UsageError(f"channel is {one!r:.60}: give the name of a channel, or its number from 0")
        if not (self.z is None or self.z in PROJECTIONS or _is_number(self.z)):
            raise UsageError(
                f"z is {self.z!r:.60}: give the number of a plane, from 0, or one of {', '.join(PROJECTIONS)}"
            )
        if not (self.scene is None or isinstance(self.scene, str) or _is_number(self.scene)):
            raise UsageError(f"scene is {self.scene!r:.60}: give the name of a scene, or its number from 0")
        if not (self.time is None or _is_number(self.time)):
            raise UsageError(f"time is {self.time!r:.60}: give the number of a time point, from 0")
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
        """True if channels, z or time are selected."""
        return bool(self.channel) or self.z is not None or self.time is not None

    def to_dict(self) -> dict[str, Any]:
        """Return the options that were given, as JSON values."""
        given = {
            "scene": self.scene,
            "channel": [*self.channel] or None,
            "z": self.z,
            "time": self.time,
            "grey": True if self.grey else None,
        }
        return {name: value for name, value in given.items() if value is not None}

    def words(self) -> str:
        """Return the options that were given as an unambiguous text."""
        return f"planes {json.dumps(self.to_dict(), sort_keys=True)}"


Stacks = Annotated[StackOptions, Option("Planes to read from image files; its options may also be given by name.")]


def with_planes(pixels: T, options: StackOptions | None) -> T:
    """Return an image with the planes to read, of the scene that it is.

    Raises
    ------
    UsageError
        If planes are selected, but the image is not in a file, as in a store or an array.
    """
    if not options or pixels is None:
        return pixels
    if not hasattr(pixels, "planes"):
        raise UsageError(
            f"{pixels} is not an image file: --scene, --channel, --z, --time and --grey apply to files only; omit them"
        )
    known: Any = pixels
    own = known.planes.scene if known.planes else None
    chosen: T = replace(known, planes=options if own is None else replace(options, scene=own))
    return chosen
