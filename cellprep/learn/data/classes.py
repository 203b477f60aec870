"""The classes of cells in a store: their names, their numbers of cells, and their weights in the loss."""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import StoreError, UsageError
from cellprep.store import Store, StoredImage
from cellprep.text.wording import count, printable

#: The name of the array of samples with the class of each pixel.
CLASSES = "classes"

#: The class of pixels of the background, and of cells without a type.
NO_CLASS = -1

_FEW = 30  # training cells of a class, below which a network may not learn it
_HEAVIEST = 20.0  # largest weight of a pixel, relative to one of the most frequent class


def class_names(images: Iterable[StoredImage]) -> list[str]:
    """Return the types of the cells of images, sorted."""
    return sorted({name for image in images for name in image.metadata.categories})


def classes_of_labels(image: StoredImage, table: NDArray[np.int64], names: Sequence[str]) -> NDArray[np.int64]:
    """Return the class of each label of an image as an index into `names`: (n + 1,), starting with label 0.

    Parameters
    ----------
    image
        The image.
    table
        (n, 3): the image's array ``cells``.
    names
        The classes; cells of other types have `NO_CLASS`.

    Raises
    ------
    StoreError
        If the table contains categories that the image does not have.
    """
    places = {name: place for place, name in enumerate(names)}
    numbers = np.array([*(places.get(name, NO_CLASS) for name in image.metadata.categories), NO_CLASS])
    categories = table[:, 2]
    if len(table) and not (categories.min() >= -1 and categories.max() < len(numbers) - 1):
        raise StoreError(f"image {printable(image.id)}: a cell has a category that the image lacks: run `verify`")
    return np.concatenate([[NO_CLASS], numbers[categories]])  # the category -1 (none) is the last element


def of_each_class(classes: NDArray[Any], number: int) -> NDArray[np.float32]:
    """Return a mask of 0 and 1 for each class, (number, H, W), from the class of each pixel.

    Examples
    --------
    >>> of_each_class(np.array([[0, -1, 1]]), 2).tolist()
    [[[1.0, 0.0, 0.0]], [[0.0, 0.0, 1.0]]]
    """
    masks: NDArray[np.float32] = (classes == np.arange(number)[:, None, None]).astype(np.float32)
    return masks


@dataclass(frozen=True, slots=True)
class Classes:
    """The classes that a network is trained on, with their numbers of cells.

    Attributes
    ----------
    names
        In the order of the network's channels.
    cells, images
        For each class, the number of training cells, and of images with such cells.
    untyped
        Number of training cells without a type.
    weights
        For each class, the weight of a pixel in the loss. Classes with few pixels have larger weights, so that all
        classes count equally, but at most 20 times that of the most frequent one; the mean over pixels is 1.
    """

    names: tuple[str, ...]
    cells: tuple[int, ...]
    images: tuple[int, ...]
    untyped: int
    weights: tuple[float, ...]

    @classmethod
    def of(cls, store: Store, train_ids: Sequence[str], names: Sequence[str]) -> Self:
        """Count the training cells in the tables of all images."""
        cells, images, pixels = Counter[int](), Counter[int](), np.zeros(len(names))
        for image_id in train_ids:
            table = store[image_id].read("cells")
            found = classes_of_labels(store[image_id], table, names)[1:]
            own = Counter(found.tolist())
            cells += own
            images += Counter(own.keys())
            pixels += np.bincount(found[found >= 0], table[found >= 0, 1], len(names))
        places = range(len(names))
        return cls(
            tuple(names),
            tuple(cells[place] for place in places),
            tuple(images[place] for place in places),
            cells[NO_CLASS],
            tuple(class_weights(pixels).tolist()),
        )

    def notes(self) -> list[str]:
        """Return the lines to print before a training: the cells of each class, and a warning about rare classes."""
        told = [
            f"{printable(name)} {count(cells, 'cell')} in {count(images, 'image')}"
            for name, cells, images in zip(self.names, self.cells, self.images, strict=True)
        ]
        lines = [f"classes to train on: {'; '.join(told)}"]
        if self.untyped:
            lines.append(
                f"{count(self.untyped, 'cell')} without a type: used for training the mask, but not the classes"
            )
        rare = [(name, cells) for name, cells in zip(self.names, self.cells, strict=True) if cells < _FEW]
        if rare:
            few = ", ".join(f"{printable(name)} ({cells:,})" for name, cells in rare)
            lines.append(
                f"warning: fewer than {_FEW} training cells of {few}: the network may not learn these classes; "
                "annotate more such cells, or merge the class with a similar one"
            )
        return lines


def class_weights(pixels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the weight of a pixel of each class, from the number of its pixels.

    Examples
    --------
    >>> class_weights(np.array([300.0, 100.0])).round(3).tolist()
    [0.667, 2.0]
    """
    weights = 1 / np.maximum(pixels, max(1.0, pixels.max()) / _HEAVIEST)
    total = (weights * pixels).sum()
    balanced: NDArray[np.float64] = weights * pixels.sum() / total if total else np.ones(len(pixels))
    return balanced


def two_classes(store: Store, images: Sequence[StoredImage]) -> list[str]:
    """Return the types of the cells of images; there must be two or more.

    Raises
    ------
    UsageError
        If there are fewer than two.
    """
    names = class_names(images)
    if not names:
        raise UsageError(
            f"the cells of {store.path} have no types, which --classes needs: build the store from annotations with "
            "types, such as a CSV file with a column cell_type or COCO categories, or omit --classes"
        )
    if len(names) == 1:
        raise UsageError(
            f"all cells with a type in {store.path} have the type {printable(names[0])}, but --classes needs two "
            "or more: omit it"
        )
    return names


def refuse_unknown_classes(store: Store, images: Sequence[StoredImage], known: Sequence[str], origin: str) -> None:
    """Refuse images whose types are not among the classes of the initial weights.

    Raises
    ------
    UsageError
        If there is another type, or no type at all.
    """
    told = f"{origin} has the classes {', '.join(map(printable, known))}"
    names = class_names(images)
    if not names:
        raise UsageError(
            f"{told}, but the cells of {store.path} have no types: build the store from annotations with types"
        )
    if unknown := [name for name in names if name not in known]:
        raise UsageError(
            f"{told}, but {store.path} has cells of type {', '.join(map(printable, unknown))}: rename these types, or "
            "train without these weights"
        )
