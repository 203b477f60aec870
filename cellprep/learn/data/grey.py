"""Changes of intensities that mimic other microscopes, exposures and focus."""

from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

_MOST_BRIGHTNESS = 0.3  # standard deviations
_MOST_CONTRAST = 1.4
_MOST_GAMMA = 1.4
_MOST_BLUR = 1.5  # pixels
_BLURRED = 0.25  # share of the samples
_MOST_NOISE = 0.2  # standard deviations
_NOISY = 0.5


@dataclass(frozen=True, slots=True)
class Grey:
    """Changes of an image's intensities: gamma, contrast, brightness, blur and noise, in this order.

    Attributes
    ----------
    gamma
        (C,): the exponent, for values scaled so that the channel's lowest is 0 and its highest 1.
    contrast
        (C,): the factor, about the channel's mean.
    brightness
        (C,): the offset, in standard deviations of the channel.
    blur
        Standard deviation of the Gaussian blur, in pixels; 0 for none.
    noise
        Standard deviation of the normal noise, in standard deviations of the channel; 0 for none.
    seed
        Seed of the noise.
    """

    gamma: NDArray[np.float64]
    contrast: NDArray[np.float64]
    brightness: NDArray[np.float64]
    blur: float
    noise: float
    seed: int

    @classmethod
    def draw(cls, channels: int, rng: np.random.Generator) -> "Grey":
        """Draw a change for images with this number of channels."""
        return cls(
            gamma=_factors(_MOST_GAMMA, channels, rng),
            contrast=_factors(_MOST_CONTRAST, channels, rng),
            brightness=rng.uniform(-_MOST_BRIGHTNESS, _MOST_BRIGHTNESS, channels),
            blur=_sometimes(_BLURRED, _MOST_BLUR, rng),
            noise=_sometimes(_NOISY, _MOST_NOISE, rng),
            seed=int(rng.integers(2**32)),
        )

    def apply(self, image: NDArray[np.float32]) -> NDArray[np.float32]:
        """Change an image (C, H, W) float32; a constant channel stays unchanged."""
        rng = np.random.default_rng(self.seed)
        return np.stack([self._change(place, channel, rng) for place, channel in enumerate(image)])

    def _change(self, place: int, channel: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
        low, high, *_ = cv2.minMaxLoc(channel)
        if not high > low:
            return channel
        changed: Any = cv2.pow((channel - np.float32(low)) / np.float32(high - low), self.gamma[place])
        mean, deviation = (float(value.item()) for value in cv2.meanStdDev(changed))
        old_deviation = cv2.meanStdDev(channel)[1].item()
        # Gamma changed mean and spread: restore them, as only contrast and brightness determine these.
        scale = old_deviation / deviation * self.contrast[place]
        offset = cv2.mean(channel)[0] + self.brightness[place] * old_deviation - mean * scale
        changed = changed * np.float32(scale) + np.float32(offset)
        if self.blur:
            changed = cv2.GaussianBlur(changed, (0, 0), self.blur, borderType=cv2.BORDER_REFLECT)
        if self.noise:
            changed += rng.standard_normal(changed.shape, np.float32) * np.float32(self.noise * old_deviation)
        result: NDArray[np.float32] = changed
        return result


def _sometimes(share: float, most: float, rng: np.random.Generator) -> float:
    chance, value = rng.random(), rng.uniform(0, most)
    return float(value) if chance < share else 0.0


def _factors(most: float, channels: int, rng: np.random.Generator) -> NDArray[np.float64]:
    limit = np.log(most)
    return np.exp(rng.uniform(-limit, limit, channels))
