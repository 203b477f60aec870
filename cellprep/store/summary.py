"""What all images of a store are together, from what the store says of each."""

import json
from collections import Counter
from typing import Any, TypeGuard

_COUNTS = ("images", "images_without_cells", "cells", "hidden", "bytes")
_MOST_SHAPES = 20  # a store's zarr.json stays small however many sizes its images have


class Summary:
    """Counts over images, the same in whatever order they are added.

    Examples
    --------
    >>> summary = Summary()
    >>> for cells in (3, 0):
    ...     summary.add({"cells": cells, "hidden": [], "bytes": 100, "shape": [5, 6], "arrays": ["labels"],
    ...                  "cell_type": None, "categories": [], "cells_of_category": [], "options": {}})
    >>> facts = summary.to_dict()
    >>> facts["images"], facts["cells"], facts["images_without_cells"], facts["shapes"]
    (2, 3, 1, [[5, 6, 2]])
    """

    def __init__(self) -> None:
        self._totals: Counter[str] = Counter()
        self._images_of_type: Counter[str | None] = Counter()
        self._cells_of_type: Counter[str | None] = Counter()
        self._shapes: Counter[tuple[int, int]] = Counter()
        self._arrays: Counter[str] = Counter()
        self._options: Counter[str] = Counter()

    def add(self, attributes: dict[str, Any]) -> None:
        """Count an image, by its attributes; their form must be right."""
        height, width = attributes["shape"]
        self._totals["images"] += 1
        self._totals["images_without_cells"] += attributes["cells"] == 0
        self._totals["cells"] += attributes["cells"]
        self._totals["hidden"] += len(attributes["hidden"])
        self._totals["bytes"] += attributes["bytes"]
        self._images_of_type[attributes["cell_type"]] += 1
        of_category = dict(zip(attributes["categories"], attributes["cells_of_category"], strict=True))
        self._cells_of_type.update(of_category)
        self._cells_of_type[None] += attributes["cells"] - sum(of_category.values())
        self._shapes[height, width] += 1
        self._arrays.update(attributes["arrays"])
        self._options[json.dumps(attributes["options"], sort_keys=True)] += 1

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON has them.

        Returns
        -------
        dict
            ``images``, ``images_without_cells``, ``cells``, ``hidden``; ``bytes``; per type of cells ``cell_types``;
            ``shapes``, the most frequent first, as [H, W, images], and how many there are; ``arrays`` with numbers
            of images; ``recipes``, the images' options with numbers of images.
        """
        return {
            **{name: self._totals[name] for name in _COUNTS},
            "cell_types": [self._of_type(name) for name in self._types()],
            "shapes": [[*shape, images] for shape, images in _most_first(self._shapes)[:_MOST_SHAPES]],
            "distinct_shapes": len(self._shapes),
            "arrays": dict(sorted(self._arrays.items())),
            "recipes": [{"images": images, "options": json.loads(text)} for text, images in _most_first(self._options)],
        }

    def _types(self) -> list[str | None]:
        """Return the types in use, sorted, and None last."""
        used = {name for counter in (self._images_of_type, self._cells_of_type) for name in +counter}
        return sorted(used, key=lambda name: (name is None, name or ""))

    def _of_type(self, name: str | None) -> dict[str, Any]:
        return {"cell_type": name, "images": self._images_of_type[name], "cells": self._cells_of_type[name]}


def _most_first(counter: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))


def is_summary(value: object) -> bool:
    """Return whether what a store has for a summary has the form of one, with ``source_images`` beside the counts."""
    if not isinstance(value, dict):
        return False
    counts = ("source_images", "source_images_stored", "distinct_shapes", *_COUNTS)
    of_types, shapes = value.get("cell_types"), value.get("shapes")
    arrays, recipes = value.get("arrays"), value.get("recipes")
    return (
        _are_numbers([value.get(name) for name in counts])
        and _are_objects(of_types, {"cell_type", "images", "cells"})
        and all(_are_numbers([of["images"], of["cells"]]) for of in of_types)
        and all(of["cell_type"] is None or isinstance(of["cell_type"], str) for of in of_types)
        and _are_objects(recipes, {"images", "options"})
        and _are_numbers([made["images"] for made in recipes])
        and all(isinstance(made["options"], dict) for made in recipes)
        and isinstance(arrays, dict)
        and _are_numbers(list(arrays.values()))
        and isinstance(shapes, list)
        and all(_are_numbers(shape) and len(shape) == 3 for shape in shapes)
    )


def _are_objects(value: Any, keys: set[str]) -> TypeGuard[list[dict[str, Any]]]:
    return isinstance(value, list) and all(isinstance(item, dict) and item.keys() == keys for item in value)


def _are_numbers(value: Any) -> bool:
    return isinstance(value, list) and all(type(number) is int for number in value)
