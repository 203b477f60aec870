"""Effects of microscopes and file formats on images, beyond those of `Grey`."""

import cv2
import numpy as np
from numpy.typing import NDArray

_DIM = 0.3, 0.12  # share of the samples, and lowest factor of their intensities
_GAMMA = 0.3, 1.6
_BLUR = 0.2, 3.0  # pixels
_UNEVEN = 0.25, 0.2
_NOISE = 0.4, (0.003, 0.03), 1.5  # share, deviations, and largest blur of the noise in pixels
_JPEG = 0.2, (30, 95)  # share, and qualities


def photograph(image: NDArray[np.float32], rng: np.random.Generator) -> NDArray[np.float32]:
    """Change an image (C, H, W) float32 with intensities between about 0 and 1.

    Random effects, in this order: gamma up to 1.6, dimming down to a factor of 0.12, blur up to 3 pixels, uneven
    illumination, noise, and JPEG compression at qualities of 30 to 95.
    """
    gamma = np.exp(rng.uniform(-1, 1) * np.log(_GAMMA[1])) if rng.random() < _GAMMA[0] else 1.0
    factor = np.exp(rng.uniform(np.log(_DIM[1]), 0)) if rng.random() < _DIM[0] else 1.0
    blur = rng.uniform(0.5, _BLUR[1]) if rng.random() < _BLUR[0] else 0.0
    changed = []
    for channel in image:
        low = min(float(channel.min()), 0.0)
        high = max(float(channel.max()), 1e-6)
        bent = np.power((channel - low) / np.float32(high - low), np.float32(gamma)) * np.float32(high - low) + low
        bent = bent * np.float32(factor)
        changed.append(cv2.GaussianBlur(bent, (0, 0), blur, borderType=cv2.BORDER_REFLECT) if blur else bent)
    result = np.stack(changed).astype(np.float32)
    if rng.random() < _UNEVEN[0]:
        y, x = (np.linspace(-1, 1, size, dtype=np.float32) for size in result.shape[1:])
        along, across = rng.uniform(-1, 1, 2).astype(np.float32) * np.float32(_UNEVEN[1] / 2)
        result += along * (y[:, None] + 1) + across * (x + 1)
    if rng.random() < _NOISE[0]:
        result += _noise(result.shape, rng)
    if rng.random() < _JPEG[0]:
        quality = int(rng.integers(*_JPEG[1]))
        result = np.stack([_through_jpeg(channel, quality) for channel in result])
    return result


def _noise(shape: tuple[int, ...], rng: np.random.Generator) -> NDArray[np.float32]:
    deviation = np.exp(rng.uniform(*np.log(_NOISE[1])))
    blur = rng.uniform(0.3, _NOISE[2]) if rng.random() < 0.4 else 0.0
    noise = rng.standard_normal(shape, np.float32)
    if blur:
        noise = np.stack([cv2.GaussianBlur(channel, (0, 0), blur) for channel in noise])
    return noise * np.float32(deviation / (noise.std() or 1))


def _through_jpeg(channel: NDArray[np.float32], quality: int) -> NDArray[np.float32]:
    low, high = float(channel.min()), float(channel.max())
    if not high > low:
        return channel
    levels = np.rint((channel - low) * np.float32(255 / (high - low))).astype(np.uint8)
    written = cv2.imencode(".jpg", levels, [cv2.IMWRITE_JPEG_QUALITY, quality])[1]
    read = np.asarray(cv2.imdecode(written, cv2.IMREAD_GRAYSCALE))
    return read.astype(np.float32) * np.float32((high - low) / 255) + np.float32(low)
