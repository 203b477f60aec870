"""Images that look different from the training images: collected by difference, and reported in a few lines."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from cellprep.learn.appearance import Appearance, AppearanceRange
from cellprep.text.wording import count, printable

_NAMED = 3  # images named per difference

_NEXT = "check them with --overlay; for images like these, fine-tune the weights on some with `cellprep finetune`"


@dataclass
class UnlikeImages:
    """The images that look different from the training images.

    Attributes
    ----------
    usual
        Appearance of the training cells; None if it is unknown, so that no image counts as different.
    found
        Ids and appearance of images, by the name of the difference in `DIFFERENCES`.
    """

    usual: AppearanceRange | None = None
    found: dict[str, list[tuple[str, Appearance]]] = field(default_factory=dict)

    def add(self, image_id: str, appearance: Appearance) -> None:
        """Compare an image, and keep it if it differs."""
        if self.usual and (difference := self.usual.difference(appearance)):
            self.found.setdefault(difference, []).append((image_id, appearance))

    def notes(self) -> list[str]:
        """Return a warning for each difference, and a line of advice."""
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
        f"the predicted cells are {here} than their surroundings, but these weights were trained on cells that are "
        f"{learned}: try inverting the images"
    )


def _coverage(usual: AppearanceRange, found: list[Appearance]) -> str:
    return (
        f"the predicted cells cover {_percent([image.coverage for image in found])} of the pixels, but these weights "
        f"were trained on {_cells(usual)} that cover {usual.coverage[1]:.0%} at most: the background "
        "may have been mistaken for cells"
    )


def _background(usual: AppearanceRange, found: list[Appearance]) -> str:
    here = [image.background for image in found if image.background is not None]
    side = "brighter" if min(here) > usual.background[1] else "darker" if max(here) < usual.background[0] else "unlike"
    return (
        f"the background is {side}, at {_percent(here)} of the range of intensities, but these weights were trained on "
        f"{_cells(usual)} and a background at {_percent(usual.background)}: cells may be missed or spurious"
    )


def _contrast(usual: AppearanceRange, found: list[Appearance]) -> str:
    low = min(map(abs, usual.contrast))
    here = [abs(image.contrast) for image in found if image.contrast is not None]
    return (
        f"the predicted cells differ from their surroundings by {_percent(here)} of the range of intensities, but "
        f"these weights were trained on cells that differ by {low:.0%} or more: cells may be missed or spurious"
    )


def _noise(usual: AppearanceRange, found: list[Appearance]) -> str:
    _, high = usual.noise or (0.0, 0.0)
    return (
        f"the noise is {_percent([image.noise for image in found])} of the range of intensities, but these weights "
        f"were trained on images with {high:.0%} at most: noise may be mistaken for cells; try smoothing the images"
    )


def _size(usual: AppearanceRange, found: list[Appearance]) -> str:
    low, high = usual.diameter or (0.0, 0.0)
    here = [image.diameter for image in found if image.diameter is not None]
    ends = " to ".join(dict.fromkeys(f"{value:.0f}" for value in (min(here), max(here))))
    return (
        f"the median diameter of the predicted cells is {ends} pixels, but these weights were trained on cells of "
        f"{low:.0f} to {high:.0f}: scale such images with --diameter auto, or --diameter and a number of pixels"
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
