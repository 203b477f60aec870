"""Where each pixel of a moved image comes from: one map for rotation, zoom, flips and elastic deformation together."""

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from cellprep.learn.data.windows import Span

#: Pixels between the points at which a warp is computed; it is linear in between. Windows begin at multiples of it.
GRID = 8
_TAPS = 2  # pixels beside a point that cubic interpolation uses


@dataclass(frozen=True, slots=True)
class Waves:
    """A smooth random displacement: a sum of plane waves, so that it has no border.

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
        """A length that no displacement exceeds, in pixels."""
        return float(np.linalg.norm(self.amplitudes, axis=1).sum())


@dataclass(frozen=True, slots=True, eq=False)
class Warp:
    """A movement of the image plane.

    A pixel at the offset `o` from a point of the sample shows what is at ``matrix @ (o + waves)`` from a point of the
    image; `Placement` names the two points.

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
        """By how much lengths grow."""
        return float(1 / np.sqrt(abs(np.linalg.det(self.matrix))))

    @property
    def quarter_turn(self) -> NDArray[np.int64] | None:
        """The matrix, where it only flips and turns by quarters, so that pixels fall on pixels; else None."""
        turn = np.rint(self.matrix).astype(np.int64)
        exact = self.waves is None and np.array_equal(turn, self.matrix) and np.array_equal(turn @ turn.T, np.eye(2))
        return turn if exact else None

    def bounds(self, place: "Placement", rows: Span, columns: Span) -> tuple[Span, Span]:
        """Return rows and columns of the image that hold all that a window shows, and some more.

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
        """Return where each pixel of a window comes from: (2, h, w) float32, the image's y and x.

        Parameters
        ----------
        place
            Which point of the sample shows which point of the image.
        rows, columns
            The window, in pixels of the sample; each begins at a multiple of `GRID`.
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
    """Which point of a sample shows which point of an image.

    Attributes
    ----------
    sample
        (y, x) in the sample, about which the warp turns; whole numbers are the centres of pixels.
    image
        (y, x) in the image, which is seen there.
    """

    sample: tuple[float, float]
    image: tuple[float, float]


def _grid(span: Span) -> NDArray[np.float64]:
    """Return the coordinates whose values `cv2.resize` puts between a span's pixels, and one more at each end."""
    count = -(-len(span) // GRID) + 2
    return np.arange(-1.0, count - 1) * GRID + span.start + (GRID - 1) / 2
