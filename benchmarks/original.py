"""The original author's method, from his notes: every cell is decoded, dilated and pasted into the full image."""

from collections.abc import Sequence

import cv2
import numpy as np
from skimage.morphology import dilation

from cellprep import PUBLISHED_BINS


def decode(text: str, shape: tuple[int, int]) -> np.ndarray:
    """Decode one annotation, run by run."""
    flat = np.zeros(shape[0] * shape[1], np.uint8)
    numbers = np.array(text.split(), int)
    for start, length in zip(numbers[0::2] - 1, numbers[1::2], strict=True):
        flat[start : start + length] = 1
    return flat.reshape(shape)


def targets(texts: Sequence[str], shape: tuple[int, int]) -> dict[str, np.ndarray]:
    """Compute semseg, distance, uvec, energy and area of one image."""
    masks = sorted((decode(text, shape) for text in texts), key=lambda mask: -int(mask.sum()))
    frame = np.zeros(shape, np.uint8)
    area = np.zeros(shape, np.float32)
    owned = np.zeros(shape, bool)
    for mask in masks:
        dilated = dilation(mask, np.ones((3, 3), np.uint8))
        border = dilated - mask
        frame[dilated == 1] = 1
        frame[border == 1] = 0
        area[mask == 1] = mask.sum()
        owned |= mask == 1
    area[~owned] = (~owned).sum()
    semseg = np.stack([frame, owned & (frame == 0), ~owned], axis=-1).astype(np.uint8)
    distance = cv2.distanceTransform(frame, cv2.DIST_L2, 3)
    gradient = np.stack(np.gradient(distance), axis=-1)
    norm = np.linalg.norm(gradient, axis=-1, keepdims=True)
    uvec = np.divide(gradient, norm, out=np.zeros_like(gradient), where=norm > 0)
    uvec[~owned] = 0
    energy = np.digitize(distance + 1e-5, PUBLISHED_BINS).astype(np.uint8)
    return {"semseg": semseg, "distance": distance, "uvec": uvec, "energy": energy, "area": area}
