"""Order of two seeds in contact: evidence from the shape of the wall for which one lies below.

The cell on top has an intact outline. The wall belongs to the cell below and cuts its outline. Evidence is in natural
log odds, positive if the contact's first seed lies below. The weights were fitted to 128 images of Sartorius by
logistic regression, and rounded.
"""

import numpy as np
from numpy.typing import NDArray

from cellprep.core.decode.components import Floats, Ints, sum_by
from cellprep.core.decode.contacts import NEIGHBOURS, Contacts, pair_places

_MARGIN = 2  # padding in pixels, so that offsets never leave the image
# Offsets (y, x) of all pixels in a window of 5 x 5 but its centre.
_NEAR = [(dy, dx) for dy in (-2, -1, 0, 1, 2) for dx in (-2, -1, 0, 1, 2) if dy or dx]

_NOTCH = 0.36  # for each pixel of concave background that is nearer to the second seed
_BLUNT = 0.78  # for the sign of the same, with background that is at least straight
_ENDS = 4.7  # for the first seed's excess share of a 5 x 5 window at the wall's ends
_LEANING = 2.0  # for each wall pixel next to only one of the two
_ENCLOSED = 6.0  # if one encloses the other: practically certain, not fitted
_BULGE = 3.5  # for the sagitta, in tenths of the wall's length


def order_by_shape(contacts: Contacts, mask: NDArray[np.bool_]) -> Floats:
    """Return the evidence from shape that the first seed of each contact lies below: (k,)."""
    frame = _Frame(contacts, mask)
    notch, blunt = frame.corners(5), frame.corners(4)
    ends = frame.ends()
    shape = _NOTCH * notch + _BLUNT * np.sign(blunt) + _ENDS * frame.share_at_ends(ends)
    shape += _ENCLOSED * frame.enclosures(ends)
    return shape + _LEANING * _leaning(contacts) + _BULGE * _bulge(contacts)


def order_by_size(first: Floats, second: Floats) -> Floats:
    """Return the evidence from size that the first of two pieces lies below: the larger one does.

    A piece many times smaller than its neighbour, however, is rarely a cell; more likely it is the visible rest of a
    cell that lies below.
    """
    ratio = np.log(first / second)
    # A piecewise linear, odd function of the log ratio: slope 5.9 up to 0.3, then 2.3 up to 1, then -3.8 up to 2.5,
    # where the sign has changed, and 0 beyond.
    return 3.6 * np.clip(ratio, -0.3, 0.3) + 6.1 * np.clip(ratio, -1, 1) - 3.8 * np.clip(ratio, -2.5, 2.5)


class _Frame:
    """The padded image, and the position of each contact member in it."""

    def __init__(self, contacts: Contacts, mask: NDArray[np.bool_]) -> None:
        import cv2

        self.contacts = contacts
        inside = np.pad(mask, _MARGIN).view(np.uint8)
        # Images are flattened from here, (H + 4) (W + 4) long: the offset (dy, dx) becomes dy * width + dx.
        self.width = inside.shape[1]
        self.cells_around = cv2.boxFilter(inside, -1, (3, 3), normalize=False, borderType=cv2.BORDER_CONSTANT).ravel()
        self.background = inside.ravel() == 0
        self.seeds = np.pad(contacts.seeds, _MARGIN).ravel()
        # (m,): position of each member in the flat image, and the seeds of its contact.
        self.centre = ((contacts.y + _MARGIN) * self.width + contacts.x + _MARGIN)[contacts.pixel]
        self.first, self.second = contacts.a[contacts.contact], contacts.b[contacts.contact]

    def corners(self, cells: int) -> Floats:
        """Return how many more pixels of background at the wall's ends are next to the second seed.

        Background counts if at least `cells` of its neighbours are cell pixels. It lies where both outlines meet; the
        outline that continues smoothly belongs to the cell on top.
        """
        concave = self.background & (self.cells_around >= cells)
        more = np.zeros(len(self.centre))  # (m,)
        for dy, dx in NEIGHBOURS:
            # Each concave background pixel next to a member becomes a centre itself: its neighbourhood is counted.
            corner = self.centre + dy * self.width + dx
            found = np.flatnonzero(concave[corner])
            more[found] -= self._first_more(found, corner[found], NEIGHBOURS)
        return self.contacts.total(more)

    def ends(self) -> Ints:
        """Return the members (e,) with background within two pixels."""
        import cv2

        near_background = cv2.dilate(self.background.view(np.uint8).reshape(-1, self.width), np.ones((5, 5), np.uint8))
        return np.flatnonzero(near_background.ravel()[self.centre])

    def share_at_ends(self, ends: Ints) -> Floats:
        """Return the first seed's excess share of the windows that contain background."""
        contact = self.contacts.contact[ends]
        more = self._first_more(ends, self.centre[ends], _NEAR)
        count = np.bincount(contact, minlength=len(self.contacts))
        return sum_by(contact, more, len(self.contacts)) / np.maximum(count, 1) / len(_NEAR)

    def enclosures(self, ends: Ints) -> Floats:
        """Return 1 where the first seed encloses the second, -1 for the reverse. The enclosed one lies on top.

        A wall without ends touches neither background nor a third seed.
        """
        contacts = self.contacts
        closed = (np.bincount(contacts.contact[ends], minlength=len(contacts)) == 0) & (contacts.own == contacts.length)
        larger: Floats = np.sign(contacts.area[contacts.a] - contacts.area[contacts.b])
        return np.where(closed, larger, 0.0)

    def _first_more(self, members: Ints, centre: Ints, steps: list[tuple[int, int]]) -> Floats:
        """Count pixels of the first seed minus those of the second, at given offsets from each centre."""
        first, second = self.first[members], self.second[members]
        more = np.zeros(len(members))
        for dy, dx in steps:
            seed = self.seeds[centre + dy * self.width + dx]
            more += seed == first
            more -= seed == second
        return more


def _leaning(contacts: Contacts) -> Floats:
    """Count wall pixels next to one seed only, with one other seed within two pixels: these belong to the other.

    A pixel is a wall because of an adjacent cell on top. Wall pixels next to the first seed count as evidence for the
    second one, and are subtracted.
    """
    # (s,): the wall pixels next to one seed only, and that seed.
    alone = np.flatnonzero((contacts.highest > 0) & (contacts.lowest == contacts.highest))
    beside = contacts.highest[alone]
    padded = np.pad(contacts.seeds, _MARGIN)
    centre = (contacts.y[alone] + _MARGIN) * padded.shape[1] + contacts.x[alone] + _MARGIN
    # 24 arrays (s,), one for each offset: the seed there, or 0 if it is the adjacent one.
    near = [padded.ravel()[centre + dy * padded.shape[1] + dx].astype(np.int64) for dy, dx in _NEAR]
    others = [np.where(seed == beside, 0, seed) for seed in near]
    other = np.maximum.reduce(others)
    # One other seed and no third one: then every seed found is the highest of them.
    only = np.all([(seed == 0) | (seed == other) for seed in others], axis=0) & (other > 0)
    places, known = pair_places(contacts, beside[only], other[only])
    sign = np.where(beside[only] < other[only], -1.0, 1.0)
    return sum_by(places[known], sign[known], len(contacts))


def _bulge(contacts: Contacts) -> Floats:
    """Measure how far the wall bulges into the first seed, relative to its length: cells are mostly convex."""
    y, x = contacts.y[contacts.pixel].astype(float), contacts.x[contacts.pixel].astype(float)
    length, contact = contacts.length, contacts.contact
    # (m,): relative to the centre of the contact; then the angle (k,) of its long axis, from second moments.
    y, x = y - (contacts.total(y) / length)[contact], x - (contacts.total(x) / length)[contact]
    angle = np.arctan2(2 * contacts.total(x * y), contacts.total(x * x) - contacts.total(y * y)) / 2
    # The normal of that axis, towards the first seed.
    to_first = _towards_first(contacts)
    normal_y, normal_x = np.cos(angle), -np.sin(angle)
    sign = np.where(to_first[0] * normal_y + to_first[1] * normal_x >= 0, 1.0, -1.0)
    # A parabola across = bend * along² + ... fitted to the wall: the covariance of `across` and squared `along`.
    along = (y * np.sin(angle)[contact] + x * np.cos(angle)[contact]) ** 2
    across = (y * normal_y[contact] + x * normal_x[contact]) * sign[contact]
    spread = contacts.total(along) / length
    bend = contacts.total(across * (along - spread[contact])) / length
    # In tenths of the length; the 0.5 keeps single pixels finite. Negative bends bulge towards the first seed.
    return np.clip(-10 * bend / (spread + 0.5) / length, -3, 3)


def _towards_first(contacts: Contacts) -> tuple[Floats, Floats]:
    """Sum the offsets (y, x) from wall pixels to the first seed, minus those to the second."""
    padded = np.pad(contacts.seeds, 1)
    centre = ((contacts.y + 1) * padded.shape[1] + contacts.x + 1)[contacts.pixel]
    first, second = contacts.a[contacts.contact], contacts.b[contacts.contact]
    towards_y, towards_x = np.zeros(len(centre)), np.zeros(len(centre))
    for dy, dx in NEIGHBOURS:
        seed = padded.ravel()[centre + dy * padded.shape[1] + dx]
        sign = (seed == first).astype(np.int8) - (seed == second)
        towards_y += dy * sign
        towards_x += dx * sign
    return contacts.total(towards_y), contacts.total(towards_x)
