"""The pixel size of training images, if they agree."""

from collections.abc import Iterable
from statistics import median

from cellprep.store import StoredImage

#: Relative difference up to which pixel sizes count as equal: the sizes of cells vary more than that.
ALIKE = 0.05


def learned_size(images: Iterable[StoredImage]) -> float | None:
    """Return the side of the images' pixels, in micrometres; None if one is unknown, or they differ by over 5 %."""
    sizes = [image.metadata.pixel_size for image in images]
    known = [float(size) for size in sizes if size]
    if len(known) < len(sizes) or not known or max(known) > (1 + ALIKE) * min(known):
        return None
    return median(known)
