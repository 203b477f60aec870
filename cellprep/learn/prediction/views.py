"""The answer of networks to a batch, seen once or in all its flips and rotations by quarters."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cellprep.learn.networks.layers import unit_length
from cellprep.learn.prediction.turns import turn, turn_back, turn_vectors_back


def class_probabilities(network: Callable[[Tensor], Tensor], image: Tensor, turns: Sequence[int]) -> Tensor:
    """Return the mean probability of each class over the turns of an image.

    Parameters
    ----------
    network
        Images (N, C, H, W) to logits (N, classes, H, W).
    image
        (N, C, H, W).
    turns
        Numbers that `turn` takes; 0 alone for the image as it is.

    Returns
    -------
    Tensor
        (N, classes, H, W) float32.
    """
    views = [turn_back(_probabilities(network(turn(image, number))), number) for number in turns]
    return _mean(views)


def vectors_and_levels(
    network: Callable[[Tensor, Tensor], tuple[Tensor, Tensor | None]],
    image: Tensor,
    mask: Tensor,
    turns: Sequence[int],
) -> tuple[Tensor, Tensor | None]:
    """Return mean unit vectors and the mean probability of each energy level over the turns of an image.

    Parameters
    ----------
    network
        Images (N, C, H, W) and masks (N, 1, H, W) to unit vectors (N, 2, H, W) and logits (N, levels, H, W), or None
        for these.
    image, mask
        Its inputs.
    turns
        As `class_probabilities`.

    Returns
    -------
    uvec
        (N, 2, H, W) float32, components (y, x); of length 1, or 0 where all views say so or contradict each other.
    probabilities
        (N, levels, H, W) float32; None without logits.
    """
    vectors, levels = [], []
    for number in turns:
        uvec, logits = network(turn(image, number), turn(mask, number))
        vectors.append(turn_vectors_back(uvec.float(), number))
        if logits is not None:
            levels.append(turn_back(_probabilities(logits), number))
    uvec = vectors[0] if len(vectors) == 1 else unit_length(_mean(vectors))
    return uvec, _mean(levels) if levels else None


def _probabilities(logits: Tensor) -> Tensor:
    return torch.softmax(logits.float(), 1)


def _mean(views: list[Tensor]) -> Tensor:
    total = views[0]
    for view in views[1:]:
        total = total + view
    return total / len(views)
