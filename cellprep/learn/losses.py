"""The losses of networks: weighted means over pixels.

All are computed in float32 at least, also under autocast. Each is a mean over the pixels of the whole batch, rather
than of means over images or over the processes that share the batch. If no pixel counts, the loss and its gradient
are 0.
"""

import math

import torch
from torch import Tensor
from torch.nn import functional

from cellprep.learn.processes import all_sum

# Weights of the lowest levels, which separate cells; higher levels have weight 1 (Bai & Urtasun 2017).
_LEVEL_WEIGHTS = (3.0, 3.0, 3.0, 2.0)

# Weights of cell, wall and background: walls are a few pixels in a thousand, but they separate cells.
_CLASS_WEIGHTS = (1.0, 5.0, 1.0)

# Smaller sums of weights and squares of lengths count as 0. No pixel has such a small weight.
_NOTHING = 1e-12


def direction_loss(predicted: Tensor, target: Tensor, area: Tensor, counts: Tensor) -> Tensor:
    """Return the mean squared angle between vectors, in square radians.

    A pixel's weight is 1 / sqrt(area), so that large cells do not outweigh small ones (Bai & Urtasun 2017). The angle
    is computed from sine and cosine: the gradient of the arc cosine is not finite at 0 and π.

    Parameters
    ----------
    predicted
        (N, 2, H, W) vectors. A vector of length 0 has an error of a right angle.
    target
        (N, 2, H, W) vectors. Pixels with the vector 0 do not count.
    area
        (N, H, W) area in pixels of the cell that owns the pixel; at least 1 where a pixel counts.
    counts
        (N, H, W) bool: whether the pixel counts.

    Returns
    -------
    Tensor
        A scalar, 0 to π².

    Examples
    --------
    >>> up, right = torch.tensor([[-1.0, 0.0], [0.0, 1.0]]).reshape(2, 1, 2, 1, 1)
    >>> one = torch.ones(1, 1, 1)
    >>> direction_loss(up, right, one, one.bool()).sqrt() * 180 / math.pi
    tensor(90.)
    """
    y, x = _exact(predicted).unbind(1)
    target_y, target_x = _exact(target).unbind(1)
    sine, cosine = y * target_x - x * target_y, y * target_y + x * target_x
    undefined = sine.square() + cosine.square() <= _NOTHING  # False for NaN, which must reach the loss
    angle = torch.atan2(sine.masked_fill(undefined, 1), cosine.masked_fill(undefined, 0))
    return _weighted_mean(angle.square(), _by_area(area, counts), counts & ((target_y != 0) | (target_x != 0)))


def energy_loss(logits: Tensor, target: Tensor, area: Tensor, counts: Tensor) -> Tensor:
    """Return the mean binary cross entropy of the energy levels.

    For a pixel of level t it is ``-sum_k c_k (t_k log y_k + (1 - t_k) log(1 - y_k))``, where ``t_k`` is 1 for ``k = t``
    and otherwise 0, y the softmax of the logits, and c is 3, 3, 3, 2, and then 1. A pixel's weight is 1 / sqrt(area)
    (Bai & Urtasun 2017; both terms as in their code).

    Parameters
    ----------
    logits
        (N, levels, H, W).
    target
        (N, H, W) int64: levels, 0 to ``levels - 1`` everywhere.
    area
        (N, H, W) area in pixels of the cell that owns the pixel; at least 1 where a pixel counts.
    counts
        (N, H, W) bool: whether the pixel counts.

    Returns
    -------
    Tensor
        A scalar, at least 0.

    Examples
    --------
    >>> logits = torch.zeros(1, 2, 1, 1)
    >>> energy_loss(logits, torch.zeros(1, 1, 1, dtype=torch.int64), torch.ones(1, 1, 1), torch.ones(1, 1, 1).bool())
    tensor(4.1589)
    """
    logits = _exact(logits)
    log_yes = logits.log_softmax(1)
    log_no = _log_of_the_rest(logits, log_yes)
    weights = torch.ones(logits.shape[1], dtype=logits.dtype, device=logits.device)
    known = torch.tensor(_LEVEL_WEIGHTS, dtype=logits.dtype, device=logits.device)[: len(weights)]
    weights[: len(known)] = known
    at_target = (log_yes - log_no).gather(1, target[:, None])[:, 0]
    everywhere = (log_no * weights[:, None, None]).sum(1)
    return _weighted_mean(-(weights[target] * at_target + everywhere), _by_area(area, counts), counts)


def semseg_loss(logits: Tensor, target: Tensor, counts: Tensor) -> Tensor:
    """Return the mean cross entropy, with weight 5 for walls, plus one minus the soft Dice coefficient.

    The Dice coefficient of a class is computed over all pixels of the batch, and averaged over the classes of the
    counted pixels: it compensates for the small number of walls.

    Parameters
    ----------
    logits
        (N, 3, H, W): cell, wall, background.
    target
        (N, H, W) int64: classes, 0 to 2 everywhere.
    counts
        (N, H, W) bool: whether the pixel counts.

    Returns
    -------
    Tensor
        A scalar, at least 0.

    Examples
    --------
    >>> sure = torch.tensor([99.0, 0.0, 0.0]).reshape(1, 3, 1, 1)
    >>> one = torch.ones(1, 1, 1)
    >>> semseg_loss(sure, 0 * one.long(), one.bool())
    tensor(0.)
    """
    log_yes = _exact(logits).log_softmax(1)
    entropy = -log_yes.gather(1, target[:, None])[:, 0]
    weights = torch.tensor(_CLASS_WEIGHTS, dtype=log_yes.dtype, device=log_yes.device)[target]
    truth = functional.one_hot(target, logits.shape[1]).movedim(-1, 1) * counts[:, None]
    pixels = all_sum(truth.sum((0, 2, 3)))
    both = all_sum((truth * log_yes.exp()).sum((0, 2, 3)))
    either = pixels + all_sum((counts[:, None] * log_yes.exp()).sum((0, 2, 3)))
    missed = (1 - 2 * both / either.clamp_min(_NOTHING))[pixels > 0]
    return _weighted_mean(entropy, weights, counts) + missed.sum() / max(1, len(missed))


def class_loss(logits: Tensor, target: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    """Return the mean cross entropy of the classes of cells, over the pixels whose class is known.

    Parameters
    ----------
    logits
        (N, classes, H, W).
    target
        (N, H, W) int64: the class of the cell that owns the pixel; -1 without a cell, or if its class is unknown.
    weights
        (classes,): weight of a pixel of each class.
    counts
        (N, H, W) bool: whether the pixel counts.

    Returns
    -------
    Tensor
        A scalar, at least 0.

    Examples
    --------
    >>> logits = torch.zeros(1, 2, 1, 2)
    >>> class_loss(logits, torch.tensor([[[0, -1]]]), torch.ones(2), torch.ones(1, 1, 2).bool())
    tensor(0.6931)
    """
    log_yes = _exact(logits).log_softmax(1)
    known = target.clamp_min(0)
    entropy = -log_yes.gather(1, known[:, None])[:, 0]
    return _weighted_mean(entropy, weights.to(log_yes.dtype)[known], counts & (target >= 0))


def _exact(values: Tensor) -> Tensor:
    return values.to(torch.promote_types(values.dtype, torch.float32))


def _by_area(area: Tensor, counts: Tensor) -> Tensor:
    return torch.where(counts, area, 1).rsqrt()


def _weighted_mean(values: Tensor, weights: Tensor, counts: Tensor) -> Tensor:
    weights = weights.to(values.dtype) * counts
    return all_sum((torch.where(counts, values, 0) * weights).sum()) / all_sum(weights.sum()).clamp_min(_NOTHING)


def _log_of_the_rest(logits: Tensor, log_yes: Tensor) -> Tensor:
    """Return log(1 - softmax) along axis 1.

    ``log1p(-y)`` is exact except for the most probable class, whose y may round to 1: there, the others are summed.
    """
    likeliest = torch.zeros_like(logits, dtype=torch.bool).scatter_(1, logits.argmax(1, keepdim=True), True)
    rest = logits.masked_fill(likeliest, -math.inf).logsumexp(1, keepdim=True) - logits.logsumexp(1, keepdim=True)
    return torch.where(likeliest, rest, torch.log1p(-log_yes.exp().masked_fill(likeliest, 0)))
