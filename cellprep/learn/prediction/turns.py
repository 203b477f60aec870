"""The eight flips and rotations of an image and of predicted maps.

Each is a number from 0 to 7, whose bits are applied in this order: 4 transposes rows and columns, 2 reverses the rows,
1 reverses the columns. Vectors change with the image: transposing swaps their components, and reversing an axis changes
the sign of its component.
"""

from torch import Tensor

#: All of them; 0 is the identity.
TURNS = range(8)


def turn(image: Tensor, number: int) -> Tensor:
    """Flip and rotate (N, C, H, W).

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
    """Undo `turn` for vectors (N, 2, H, W), components (y, x): both their positions and their directions.

    Examples
    --------
    A vector that points right in a transposed image whose rows were then reversed pointed down originally:

    >>> import torch
    >>> turn_vectors_back(torch.tensor([0.0, 1.0]).reshape(1, 2, 1, 1), 6).flatten().tolist()
    [1.0, -0.0]
    """
    signs = turned.new_tensor([-1.0 if number & 2 else 1.0, -1.0 if number & 1 else 1.0])
    vectors = turn_back(turned, number) * signs[:, None, None]
    return vectors.flip(1) if number & 4 else vectors


def _flipped(number: int) -> list[int]:
    return [axis for axis, bit in ((-2, 2), (-1, 1)) if number & bit]
