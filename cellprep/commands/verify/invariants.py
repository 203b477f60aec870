"""What must be true of the arrays of an image: one function for each, and one line in `INVARIANTS`.

Each takes the image's arrays, of the right shapes and dtypes, and its attributes, in the right form, and returns
what is wrong, or None. An invariant speaks of the first of its arrays; the others are taken as sound.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cellprep.core.cells import Cells, restore_cells
from cellprep.core.targets import TARGETS, Recipe
from cellprep.text.wording import count

Arrays = Mapping[str, NDArray[Any]]
Attributes = Mapping[str, Any]

_LENGTH_TOLERANCE = 1e-5  # of a unit vector, from float32
_VECTOR_TOLERANCE = 1e-4
_DISTANCE_TOLERANCE = 1e-3  # in pixels, and of the distance: methods round differently on other machines
_TOLERANCES = {"distance": _DISTANCE_TOLERANCE, "uvec": _VECTOR_TOLERANCE}  # those of the others are 0


class Wrong(NamedTuple):
    """Pixels that are wrong: how many, where the first one is, what it holds, and what would be right."""

    number: int
    y: int
    x: int
    problem: str

    def described(self) -> str:
        """Say all of it."""
        return f"{count(self.number, 'pixel')} wrong, the first at y {self.y}, x {self.x}: {self.problem}"

    def moved(self, y: int, x: int) -> "Wrong":
        """Return the pixels of a window as pixels of its image, in which it begins at y, x."""
        return self._replace(y=self.y + y, x=self.x + x)

    def joined(self, other: "Wrong") -> "Wrong":
        """Return the pixels of both."""
        first = min(self, other, key=lambda wrong: (wrong.y, wrong.x))
        return first._replace(number=self.number + other.number)


class Invariant(NamedTuple):
    """What must be true of some arrays; `problem` says where it is not."""

    arrays: tuple[str, ...]
    problem: Callable[[Arrays, Attributes], str | None]


def _known_labels(arrays: Arrays, attributes: Attributes) -> str | None:
    cells = attributes["cells"]
    return _at(arrays["labels"] > cells, arrays["labels"], f"there are {cells} annotations")


def _hidden(arrays: Arrays, attributes: Attributes) -> str | None:
    return hidden_problem(_pixels_of_labels(arrays["labels"], attributes["cells"]), attributes)


def hidden_problem(owned: NDArray[np.int64], attributes: Attributes) -> str | None:
    """Say in what ``hidden`` contradicts the pixels that each label owns, (n,)."""
    found = (np.flatnonzero(owned == 0) + 1).tolist()
    wrong = sorted(set(found) ^ set(attributes["hidden"]))
    if not wrong and found != attributes["hidden"]:
        return "`hidden` does not rise"
    what = "is not in `hidden`, but has no pixel" if wrong and wrong[0] in found else "is in `hidden`, but has pixels"
    return f"{count(len(wrong), 'label')} contradict `hidden`: {wrong[0]} {what}" if wrong else None


def _rows(arrays: Arrays, attributes: Attributes) -> str | None:
    rows = arrays["cells"][:, 0]
    values, counts = np.unique(rows, return_counts=True)
    if len(values) == len(rows):
        return None
    return f"source row {values[counts.argmax()]} is there {counts.max()} times"


def _areas(arrays: Arrays, attributes: Attributes) -> str | None:
    areas, labels = arrays["cells"][:, 1], arrays["labels"]
    return areas_problem(areas, _pixels_of_labels(labels, len(areas)), labels.size)


def areas_problem(areas: NDArray[np.int64], owned: NDArray[np.int64], pixels: int) -> str | None:
    """Say which areas of annotations, (n,), cannot be, as each label owns so many pixels of those of the image."""
    wrong = np.flatnonzero((areas < owned) | (areas > pixels))
    if not len(wrong):
        return None
    first = wrong[0]
    what = f"{areas[first]}; it owns {owned[first]} pixels"
    return f"{count(len(wrong), 'area')} wrong, the first of label {first + 1}: {what}"


def _categories(arrays: Arrays, attributes: Attributes) -> str | None:
    names, numbers = attributes["categories"], attributes["cells_of_category"]
    indices = arrays["cells"][:, 2]
    wrong = np.flatnonzero((indices < -1) | (indices >= len(names)))
    if len(wrong):
        return f"label {wrong[0] + 1} has category {indices[wrong[0]]} of {len(names)}"
    if names != sorted(names):
        return f"`categories` are not sorted: {names}"
    found = np.bincount(indices[indices >= 0], minlength=len(names)).tolist()
    if found != numbers or 0 in found:
        return f"`cells_of_category` are {numbers}: there are {found} cells of {names}"
    return None


def _cell_type(arrays: Arrays, attributes: Attributes) -> str | None:
    # An image without cells may have a type all the same.
    of_category = dict(zip(attributes["categories"], attributes["cells_of_category"], strict=True))
    most = [name for name, number in of_category.items() if number == max(of_category.values())]
    if not attributes["cells"] or attributes["cell_type"] in (most or [None]):
        return None
    return f"`cell_type` is {attributes['cell_type']!r}: most cells are {' or '.join(map(repr, most)) or 'of no type'}"


def _partition(arrays: Arrays, attributes: Attributes) -> str | None:
    semseg = arrays["semseg"]
    cell, wall, background = np.moveaxis(semseg, 2, 0)
    wrong = ((cell | wall | background) != 1) | (cell + wall + background != 1)
    return _at(wrong, semseg, "exactly one channel is 1, the others are 0")


def _background(arrays: Arrays, attributes: Attributes) -> str | None:
    nobodys = arrays["labels"] == 0
    wrong = (arrays["semseg"][..., 2] == 1) != nobodys
    return _at(wrong, arrays["semseg"], "the last channel is 1 exactly where the label is 0")


def _walls(arrays: Arrays, attributes: Attributes) -> str | None:
    return _differs("semseg", arrays, attributes)


def _distance_sign(arrays: Arrays, attributes: Attributes) -> str | None:
    distance = arrays["distance"]
    return _at(~(np.isfinite(distance) & (distance >= 0)), distance, "distances are numbers from 0")


def _distance_outside(arrays: Arrays, attributes: Attributes) -> str | None:
    recipe, distance, inside = _recipe(attributes), arrays["distance"], arrays["semseg"][..., 0] == 1
    if recipe.background_cell:
        return _at(distance <= 0, distance, "with the background as a cell, all distances are above 0")
    if recipe.per_instance:
        outside = arrays["semseg"][..., 2] == 1
        return _at((distance > 0) == outside, distance, "distances are 0 where `semseg[..., 2]` is 1, else above 0")
    return _at((distance > 0) != inside, distance, "distances are above 0 where `semseg[..., 0]` is 1, else 0")


def _distance(arrays: Arrays, attributes: Attributes) -> str | None:
    return _differs("distance", arrays, attributes)


def _unit_length(arrays: Arrays, attributes: Attributes) -> str | None:
    uvec = arrays["uvec"]
    length = np.sqrt(uvec[..., 0] ** 2 + uvec[..., 1] ** 2)
    wrong = ~((np.abs(length - 1) <= _LENGTH_TOLERANCE) | (length == 0))
    return _at(wrong, length, "vectors have length 1 or 0")


def _no_vectors_outside(arrays: Arrays, attributes: Attributes) -> str | None:
    if _recipe(attributes).background_cell:
        return None
    uvec = arrays["uvec"]
    wrong = (arrays["semseg"][..., 2] == 1) & ((uvec[..., 0] != 0) | (uvec[..., 1] != 0))
    return _at(wrong, uvec, "vectors are 0 on the background")


def _gradient(arrays: Arrays, attributes: Attributes) -> str | None:
    return _differs("uvec", arrays, attributes)


def _levels(arrays: Arrays, attributes: Attributes) -> str | None:
    return _differs("energy", arrays, attributes)


def _area(arrays: Arrays, attributes: Attributes) -> str | None:
    return _differs("area", arrays, attributes)


def _ignored(arrays: Arrays, attributes: Attributes) -> str | None:
    wrong = wrong_ignored(arrays["ignore"], arrays["labels"])
    return wrong.described() if wrong else None


def wrong_ignored(ignore: NDArray[np.uint8], labels: NDArray[Any]) -> Wrong | None:
    """Return the pixels to ignore that cannot be such, (H, W) both."""
    return _wrong((ignore > 1) | ((ignore == 1) & (labels > 0)), ignore, "it is 1 or 0, and 0 on cells")


#: All of them, by name, in an order in which an array is judged before those that are made from it.
INVARIANTS: dict[str, Invariant] = {
    "known labels": Invariant(("labels",), _known_labels),
    "hidden cells": Invariant(("labels", "cells"), _hidden),
    "rows": Invariant(("cells",), _rows),
    "areas of annotations": Invariant(("cells", "labels"), _areas),
    "categories": Invariant(("cells",), _categories),
    "cell type": Invariant(("cells",), _cell_type),
    "partition": Invariant(("semseg",), _partition),
    "background": Invariant(("semseg", "labels"), _background),
    "walls": Invariant(("semseg", "labels", "cells"), _walls),
    "distances from 0": Invariant(("distance",), _distance_sign),
    "no distance outside": Invariant(("distance", "semseg"), _distance_outside),
    "distances to the border": Invariant(("distance", "semseg", "labels", "cells"), _distance),
    "unit length": Invariant(("uvec",), _unit_length),
    "no vectors outside": Invariant(("uvec", "semseg"), _no_vectors_outside),
    "vectors along the gradient": Invariant(("uvec", "distance", "semseg", "labels", "cells"), _gradient),
    "levels of the distance": Invariant(("energy", "distance", "labels", "cells"), _levels),
    "areas of owners": Invariant(("area", "labels", "cells"), _area),
    "no cells ignored": Invariant(("ignore", "labels"), _ignored),
}


def _recipe(attributes: Attributes) -> Recipe:
    return Recipe.from_dict(attributes["options"])


def _pixels_of_labels(labels: NDArray[Any], cells: int) -> NDArray[np.int64]:
    return np.bincount(labels.ravel(), minlength=cells + 1)[1:]


def _cells(arrays: Arrays, recipe: Recipe) -> Cells:
    return restore_cells(arrays["labels"], arrays["cells"][:, 1], recipe.overlap)


def _differs(name: str, arrays: Arrays, attributes: Attributes) -> str | None:
    """Say where a target is not what follows from the arrays that it is made from."""
    recipe = compared_recipe(attributes)
    wrong = wrong_target(name, arrays[name], TARGETS[name](_cells(arrays, recipe), arrays, recipe))
    return wrong.described() if wrong else None


def compared_recipe(attributes: Attributes) -> Recipe:
    """Return the recipe by which targets are made again, to compare them."""
    recipe = _recipe(attributes)
    if recipe.distance == "cv2":
        return recipe
    return replace(recipe, distance="cv2-exact")  # all the others are exact, and slower


def wrong_target(name: str, found: NDArray[Any], expected: NDArray[Any]) -> Wrong | None:
    """Return the pixels of a target that are not what is expected, (H, W, ...) both."""
    if np.array_equal(found, expected):
        return None
    wrong = ~(np.abs(found - expected) <= _TOLERANCES.get(name, 0.0) * np.maximum(1, np.abs(expected)))
    pixels = wrong if wrong.ndim == 2 else wrong.any(axis=2)
    place = np.unravel_index(pixels.argmax(), pixels.shape)
    return _wrong(pixels, found, f"it should be {_value(expected[place])}")


def _at(wrong: NDArray[np.bool_], found: NDArray[Any], rule: str) -> str | None:
    """Say how many pixels are wrong, where the first one is and what it holds, and what would be right."""
    pixels = _wrong(wrong, found, rule)
    return pixels.described() if pixels else None


def _wrong(wrong: NDArray[np.bool_], found: NDArray[Any], rule: str) -> Wrong | None:
    number = int(np.count_nonzero(wrong))
    if not number:
        return None
    y, x = map(int, np.unravel_index(wrong.argmax(), wrong.shape))
    return Wrong(number, y, x, f"{_value(found[y, x])}; {rule}")


def _value(value: Any) -> str:
    return f"({', '.join(f'{part:g}' for part in value)})" if np.ndim(value) else f"{value:g}"
