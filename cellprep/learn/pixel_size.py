"""The size of the pixels that networks learn from, as far as it is one."""

from collections.abc import Iterable
from statistics import median

from cellprep.store import StoredImage

#: By what part sizes may differ for networks to see the same: they see more than that in the sizes of cells.
ALIKE = 0.05


def learned_size(images: Iterable[StoredImage]) -> float | None:
    """Return the side of a pixel of images, in micrometres; None if one is unknown, or they differ by more than 5 %."""
    sizes = [image.metadata.pixel_size for image in images]
    known = [float(size) for size in sizes if size]
    if len(known) < len(sizes) or not known or max(known) > (1 + ALIKE) * min(known):
        return None
    return median(known)
