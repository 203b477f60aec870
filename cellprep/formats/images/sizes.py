"""Reports about pixel sizes: those of images, and deviating ones in their files."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cellprep.formats.images.pixel_size import Sides, differ, side_of
from cellprep.text.wording import capped, count, printable


@dataclass
class SizeReport:
    """Pixel sizes of the images.

    Attributes
    ----------
    given
        The size in micrometres given for all images, if any.
    advice
        Advice about pixels that are not square, unless a size was given.
    told
        Sides of a pixel of each image whose file has them.
    sizes
        Number of images of each size in micrometres; None stands for an unknown size.
    """

    given: float | None = None
    advice: str = ", so their size is unknown; set it with --pixel-size"
    told: dict[str, Sides] = field(default_factory=dict)
    sizes: Counter[float | None] = field(default_factory=Counter)

    def add(self, image_id: str, size: float | None, told: Sides | None) -> None:
        """Count an image."""
        self.sizes[size] += 1
        if told:
            self.told[image_id] = told

    def sort(self, place: Mapping[str, int]) -> None:
        """Sort images by their positions."""
        self.told = dict(sorted(self.told.items(), key=lambda item: place[item[0]]))

    def notes(self) -> list[str]:
        """Return lines about sizes; empty if no file has any."""
        is_told = self.given is None and any(map(side_of, self.told.values()))
        return [*self.problems(), *([f"pixel size: {_listed(self.sizes)}"] if is_told else [])]

    def problems(self) -> list[str]:
        """Return lines about pixels that are not square, and about files that deviate from the given size."""
        oblong = [
            f"{printable(name)}: {sides[0]:g} x {sides[1]:g} µm (height x width)"
            for name, sides in self.told.items()
            if side_of(sides) is None
        ]
        lines = []
        if oblong:
            lines = [
                f"{count(len(oblong), 'image')} with pixels that are not square{'' if self.given else self.advice}:",
                *capped(oblong, "image"),
            ]
        others: Counter[float | None] = Counter(
            side for told in self.told.values() if (side := side_of(told)) and self.given and differ(side, self.given)
        )
        if others:
            lines.append(f"warning: --pixel-size {self.given:g} is used, but image files have {_listed(others)}")
        return lines


def _listed(sizes: Mapping[float | None, int]) -> str:
    """List sizes with their numbers of images, the most frequent first, and unknown ones last."""
    ordered = sorted(sizes.items(), key=lambda item: (item[0] is None, -item[1], item[0] or 0.0))
    return ", ".join(
        f"{'unknown' if size is None else f'{size:g} µm'} ({count(images, 'image')})" for size, images in ordered
    )
