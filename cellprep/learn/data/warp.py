"""The origin of each pixel of a moved image: one map for rotation, zoom, flips and elastic deformation together."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.learn.data.windows import Span

#: Pixels between the points at which a warp is computed; it is linear in between. Windows start at multiples of it.
GRID = 8
_TAPS = 2  # pixels on each side of a point that cubic interpolation uses


@dataclass(frozen=True, slots=True)
class Waves:
    """A smooth random displacement: a sum of plane waves, which has no border.

    Attributes
    ----------
    amplitudes
        (k, 2): along y and x, in pixels.
    frequencies
        (k, 2): along y and x, in radians per pixel.
    phases
        (k,): in radians.
    """

    amplitudes: NDArray[np.float64]
    frequencies: NDArray[np.float64]
    phases: NDArray[np.float64]

    def at(self, y: NDArray[np.float64], x: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return the displacements (y, x) at each pair of coordinates: (len(y), len(x), 2)."""
        down = np.outer(y, self.frequencies[:, 0]) + self.phases
        across = np.outer(x, self.frequencies[:, 1])
        # sin(a + b) = sin(a) cos(b) + cos(a) sin(b)
        left = np.concatenate([np.sin(down), np.cos(down)], axis=1)
        right = np.concatenate([np.cos(across), np.sin(across)], axis=1)
        twice = np.concatenate([self.amplitudes, self.amplitudes])
        return np.stack([left @ (right * twice[:, axis]).T for axis in (0, 1)], axis=-1)

    @property
    def longest(self) -> float:
        """An upper bound of the displacements, in pixels."""
        return float(np.linalg.norm(self.amplitudes, axis=1).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """A movement of the image plane.

    A pixel at the offset `o` from a point of the sample shows the point at the offset ``matrix @ (o + waves)`` from a
    point of the image; `Placement` holds these two points.

    Attributes
    ----------
    matrix
        (2, 2), of components (y, x).
    waves
        The elastic deformation, if any.
    """

    matrix: NDArray[np.float64]
    waves: Waves | None = None

    @property
    def zoom(self) -> float:
        """Factor by which lengths grow."""
        return float(1 / np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def quarter_turn(self) -> NDArray[np.int64] | None:
        """The matrix if it only flips and rotates by multiples of 90 degrees (pixels onto pixels); otherwise None."""
        turn = np.rint(self.matrix).astype(np.int64)
        exact = self.waves is None and np.array_equal(turn, self.matrix) and np.array_equal(turn @ turn.T, np.eye(2))
        return turn if exact else None

    def bounds(self, place: "Placement", rows: Span, columns: Span) -> tuple[Span, Span]:
        """Return rows and columns of the image that contain everything that a window shows, with a margin.

        Parameters
        ----------
        place
            Which point of the sample shows which point of the image.
        rows, columns
            The window, in pixels of the sample.
        """
        around = 1 + (self.waves.longest if self.waves else 0)
        ends = [(span.start - around, span.stop + around) for span in (rows, columns)]
        corners = np.stack(np.meshgrid(*ends, indexing="ij"), axis=-1).reshape(4, 2)
        there = (corners - place.sample) @ self.matrix.T + place.image
        low, high = np.floor(there.min(axis=0)).astype(int) - _TAPS, np.ceil(there.max(axis=0)).astype(int) + _TAPS + 1
        return Span(int(low[0]), int(high[0])), Span(int(low[1]), int(high[1]))

    def map(self, place: "Placement", rows: Span, columns: Span) -> NDArray[np.float32]:
        """Return the origin of each pixel of a window: (2, h, w) float32, the image's y and x.

        Parameters
        ----------
        place
            Which point of the sample shows which point of the image.
        rows, columns
            The window, in pixels of the sample; both start at a multiple of `GRID`.
        """
        y, x = _grid(rows), _grid(columns)
        offsets = np.stack(np.meshgrid(y, x, indexing="ij"), axis=-1) - place.sample
        if self.waves:
            offsets += self.waves.at(y, x)
        there = (offsets @ self.matrix.T + place.image).astype(np.float32)
        size = GRID * len(x), GRID * len(y)
        fine = [cv2.resize(there[..., axis], size, interpolation=cv2.INTER_LINEAR) for axis in (0, 1)]
        return np.stack([axis[GRID : GRID + len(rows), GRID : GRID + len(columns)] for axis in fine])


@dataclass(frozen=True, slots=True)
class Placement:
    """A point of a sample, and the point of the image that it shows.

    Attributes
    ----------
    sample
        (y, x) in the sample, the centre of the warp; whole numbers are the centres of pixels.
    image
        (y, x) in the image.
    """

    sample: tuple[float, float]
    image: tuple[float, float]


def _grid(span: Span) -> NDArray[np.float64]:
    """Return the coordinates that `cv2.resize` interpolates between for a span's pixels, and one more at each end."""
    count = -(-len(span) // GRID) + 2
    return np.arange(-1.0, count - 1) * GRID + span.start + (GRID - 1) / 2
