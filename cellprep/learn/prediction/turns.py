"""The eight flips and quarter turns of an image, and of what networks say about it.

A turn is a number from 0 to 7. Its bits say what is done: 4 rows become columns, then 2 the rows are put upside down,
then 1 the columns. Vectors turn with the image: where rows become columns their components change places, and what is
put upside down changes its sign.
"""

from torch import Tensor

#: All of them; 0 leaves an image as it is.
TURNS = range(8)


def turn(image: Tensor, number: int) -> Tensor:
    """Turn (N, C, H, W).

    Examples
    --------
    >>> import torch
    >>> turn(torch.tensor([[[[1, 2, 3]]]]), 5).tolist()
    [[[[1], [2], [3]]]]
    """
    turned = image.transpose(-2, -1) if number & 4 else image
    return turned.flip(_flipped(number))


def turn_back(turned: Tensor, number: int) -> Tensor:
    """Undo `turn`."""
    image = turned.flip(_flipped(number))
    return image.transpose(-2, -1) if number & 4 else image


def turn_vectors_back(turned: Tensor, number: int) -> Tensor:
    """Undo a turn of vectors (N, 2, H, W), components (y, x): each lies where it was, and points where it did.

    Examples
    --------
    A vector to the right of an image that was put upside down and whose rows had become columns pointed down:

    >>> import torch
    >>> turn_vectors_back(torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1), 6).flatten().tolist()
    [1.0, -0.0]
    """
    signs = turned.new_tensor([-1.0 if number & 2 else 1.0, -1.0 if number & 1 else 1.0])
    vectors = turn_back(turned, number) * signs[:, None, None]
    return vectors.flip(1) if number & 4 else vectors


def _flipped(number: int) -> list[int]:
    return [axis for axis, bit in ((-2, 2), (-1, 1)) if number & bit]
