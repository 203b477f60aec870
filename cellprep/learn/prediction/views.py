"""Predictions of networks for a batch, seen once or in all its flips and rotations."""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from cellprep.learn.networks.layers import unit_length
from cellprep.learn.prediction.turns import turn, turn_back, turn_vectors_back


def class_probabilities(
    networks: Sequence[Callable[[Tensor], Tensor | tuple[Tensor, ...]]], images: Sequence[Tensor], turns: Sequence[int]
) -> list[Tensor]:
    """Return the mean probability of each class in each map, over networks and over flips and rotations.

    Parameters
    ----------
    networks
        Each maps images (N, C, H, W) to logits (N, classes, H, W), or to several such maps.
    images
        (N, C, H, W): the image, normalised for each network.
    turns
        Numbers of flips and rotations, as in `turn`; only 0 for the image itself.

    Returns
    -------
    list of Tensor
        For each map, (N, classes, H, W) float32.
    """
    views = [
        [turn_back(_probabilities(logits), number) for logits in _maps(network(turn(image, number)))]
        for number in turns
        for network, image in zip(networks, images, strict=True)
    ]
    return [_mean([*of_map]) for of_map in zip(*views, strict=True)]


def vectors_and_levels(
    networks: Sequence[Callable[[Tensor, Tensor], Tensor | tuple[Tensor, Tensor]]],
    images: Sequence[Tensor],
    mask: Tensor,
    turns: Sequence[int],
    energy: Sequence[Callable[[Tensor], Tensor]] = (),
) -> tuple[Tensor, Tensor | None]:
    """Return mean unit vectors and the mean probability of each energy level, over networks, flips and rotations.

    Parameters
    ----------
    networks
        Each maps images (N, C, H, W) and masks (N, M, H, W) to unit vectors (N, 2, H, W), or to these and logits
        (N, levels, H, W).
    images
        The image, normalised for each network.
    mask
        Their other input.
    turns
        As in `class_probabilities`.
    energy
        Networks that map mean unit vectors to logits, after networks without logits.

    Returns
    -------
    uvec
        (N, 2, H, W) float32, components (y, x); of length 1, or 0 where all views are 0 or cancel each other.
    probabilities
        (N, levels, H, W) float32; None without logits.
    """
    vectors, levels = [], []
    for number in turns:
        seen = [(turn(image, number), turn(mask, number)) for image in images]
        answers = [network(*given) for network, given in zip(networks, seen, strict=True)]
        uvec = _mean_vectors([answer[0] if isinstance(answer, tuple) else answer for answer in answers])
        logits = [answer[1] for answer in answers if isinstance(answer, tuple)] + [network(uvec) for network in energy]
        vectors.append(turn_vectors_back(uvec.float(), number))
        levels += [turn_back(_probabilities(found), number) for found in logits]
    return _mean_vectors(vectors), _mean(levels) if levels else None


def _maps(answer: Tensor | tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


def _mean_vectors(views: list[Tensor]) -> Tensor:
    return views[0] if len(views) == 1 else unit_length(_mean(views))


def _probabilities(logits: Tensor) -> Tensor:
    return torch.softmax(logits.float(), 1)


def _mean(views: list[Tensor]) -> Tensor:
    total = views[0]
    for view in views[1:]:
        total = total + view
    return total / len(views)
