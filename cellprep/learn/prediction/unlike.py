"""Images that look unlike those that networks learned from: collected by what differs, and said in few lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cellprep.learn.appearance import Appearance, AppearanceRange
from cellprep.text.wording import count, printable

_NAMED = 3  # of the images of a kind

_NEXT = "look at them with --overlay; for images like these, `cellprep finetune` makes weights out of some of them"


@dataclass
class UnlikeImages:
    """The images that look unlike those that the networks learned from.

    Attributes
    ----------
    usual
        How the cells looked that the networks learned from; None if that is not known, and no image is unlike.
    found
        Per difference, a name in `DIFFERENCES`, the ids of images and how they look.
    """

    usual: AppearanceRange | None = None
    found: dict[str, list[tuple[str, Appearance]]] = field(default_factory=dict)

    def add(self, image_id: str, appearance: Appearance) -> None:
        """Compare an image, and keep it if it is unlike."""
        if self.usual and (difference := self.usual.difference(appearance)):
            self.found.setdefault(difference, []).append((image_id, appearance))

    def notes(self) -> list[str]:
        """Return a warning per difference, and what to do."""
        if not self.usual or not self.found:
            return []
        lines = [self._warning(self.usual, name, images) for name, images in self.found.items()]
        return [*lines, _NEXT]

    @staticmethod
    def _warning(usual: AppearanceRange, name: str, images: list[tuple[str, Appearance]]) -> str:
        ids = [printable(image_id) for image_id, _ in images[:_NAMED]]
        more = f" and {len(images) - _NAMED:,} more" if len(images) > _NAMED else ""
        where = f"in {count(len(images), 'image')} ({', '.join(ids)}{more})"
        return f"warning: {where} {_WORDS[name](usual, [appearance for _, appearance in images])}"


def _polarity(usual: AppearanceRange, _: list[Appearance]) -> str:
    learned, here = ("brighter", "darker") if usual.polarity > 0 else ("darker", "brighter")
    return (
        f"what was found is {here} than its surroundings; these weights learned from cells that are {learned}: "
        "inverted images may suit them"
    )


def _coverage(usual: AppearanceRange, found: list[Appearance]) -> str:
    return (
        f"what was found covers {_percent([image.coverage for image in found])} of the pixels; these weights learned "
        f"from {_cells(usual)} that cover {usual.coverage[1]:.0%} at most: the background may have been taken for cells"
    )


def _background(usual: AppearanceRange, found: list[Appearance]) -> str:
    here = [image.background for image in found if image.background is not None]
    side = "brighter" if min(here) > usual.background[1] else "darker" if max(here) < usual.background[0] else "unlike"
    return (
        f"the background is {side}, at {_percent(here)} of the range of intensities; these weights learned from "
        f"{_cells(usual)} and a background at {_percent(usual.background)}: cells may be missed or made up"
    )


def _contrast(usual: AppearanceRange, found: list[Appearance]) -> str:
    low = min(map(abs, usual.contrast))
    here = [abs(image.contrast) for image in found if image.contrast is not None]
    return (
        f"what was found differs from its surroundings by {_percent(here)} of the range of intensities; these weights "
        f"learned from cells that differ by {low:.0%} or more: cells may be missed or made up"
    )


def _noise(usual: AppearanceRange, found: list[Appearance]) -> str:
    _, high = usual.noise or (0.0, 0.0)
    return (
        f"the noise is at {_percent([image.noise for image in found])} of the range of intensities; these weights "
        f"learned from images with {high:.0%} at most: noise may be taken for cells; smoothed images may suit them"
    )


def _size(usual: AppearanceRange, found: list[Appearance]) -> str:
    low, high = usual.diameter or (0.0, 0.0)
    here = [image.diameter for image in found if image.diameter is not None]
    ends = " to ".join(dict.fromkeys(f"{value:.0f}" for value in (min(here), max(here))))
    return (
        f"what was found is {ends} pixels across in the median; these weights learned from cells of {low:.0f} to "
        f"{high:.0f}: --diameter auto, or --diameter with a number of pixels, scales such images"
    )


def _cells(usual: AppearanceRange) -> str:
    brighter = {1: " brighter than their surroundings", -1: " darker than their surroundings"}
    return "cells" + brighter.get(usual.polarity, "")


def _percent(shares: Sequence[float]) -> str:
    return " to ".join(dict.fromkeys(f"{share:.0%}" for share in (min(shares), max(shares))))


_WORDS: dict[str, Callable[[AppearanceRange, list[Appearance]], str]] = {
    "polarity": _polarity,
    "coverage": _coverage,
    "background": _background,
    "contrast": _contrast,
    "noise": _noise,
    "size": _size,
}
