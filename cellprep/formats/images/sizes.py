"""What is said of the sizes of pixels: those that images have, and those that their files tell otherwise."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from cellprep.formats.images.pixel_size import Sides, differ, side_of
from cellprep.text.wording import capped, count, printable


@dataclass
class SizeReport:
    """The sizes of the images' pixels.

    Attributes
    ----------
    given
        The size that was given for all images, in micrometres, if one was.
    advice
        What is said of pixels that are not square, unless a size was given.
    told
        Per image whose file tells them the sides of a pixel.
    sizes
        Number of images of each size in micrometres; None stands for an unknown one.
    """

    given: float | None = None
    advice: str = ", so their size is unknown; --pixel-size gives one"
    told: dict[str, Sides] = field(default_factory=dict)
    sizes: Counter[float | None] = field(default_factory=Counter)

    def add(self, image_id: str, size: float | None, told: Sides | None) -> None:
        """Count an image."""
        self.sizes[size] += 1
        if told:
            self.told[image_id] = told

    def sort(self, place: Mapping[str, int]) -> None:
        """Put images into the order of their places."""
        self.told = dict(sorted(self.told.items(), key=lambda item: place[item[0]]))

    def notes(self) -> list[str]:
        """Return lines on the sizes; none if no file tells any."""
        is_told = self.given is None and any(map(side_of, self.told.values()))
        return [*self.problems(), *([f"pixel size: {_listed(self.sizes)}"] if is_told else [])]

    def problems(self) -> list[str]:
        """Return lines on pixels that are not square, and on files that tell another size than the one given."""
        oblong = [
            f"{printable(name)}: {sides[0]:g} x {sides[1]:g} µm (height x width)"
            for name, sides in self.told.items()
            if side_of(sides) is None
        ]
        lines = []
        if oblong:
            lines = [
                f"{count(len(oblong), 'image')} whose pixels are not square{'' if self.given else self.advice}:",
                *capped(oblong, "image"),
            ]
        others: Counter[float | None] = Counter(
            side for told in self.told.values() if (side := side_of(told)) and self.given and differ(side, self.given)
        )
        if others:
            lines.append(f"warning: --pixel-size {self.given:g} counts, but image files tell {_listed(others)}")
        return lines


def _listed(sizes: Mapping[float | None, int]) -> str:
    """Return sizes with their numbers of images, the most frequent first, and last how many are unknown."""
    ordered = sorted(sizes.items(), key=lambda item: (item[0] is None, -item[1], item[0] or 0.0))
    return ", ".join(
        f"{'unknown' if size is None else f'{size:g} µm'} ({count(images, 'image')})" for size, images in ordered
    )
