"""Summary of a store, from the metadata of its images."""

import json
from collections import Counter
from typing import Any

from cellprep.store.metadata import ImageMetadata

_COUNTS = ("images", "images_without_cells", "cells", "hidden", "bytes")
_MOST_SHAPES = 20  # limits the size of a store's zarr.json


class Summary:
    """Counts over images, independent of the order in which they are added.

    Examples
    --------
    >>> summary = Summary()
    >>> for cells in (3, 0):
    ...     summary.add(ImageMetadata(cells=cells, hidden=[], excluded=[], bytes=100, shape=(5, 6), arrays=["labels"],
    ...                               cell_type=None, categories=[], cells_of_category=[], options={}, recipe="",
    ...                               pixel_size=None, complete=True))
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

    def add(self, image: ImageMetadata) -> None:
        """Count an image."""
        self._totals["images"] += 1
        self._totals["images_without_cells"] += image.cells == 0
        self._totals["cells"] += image.cells
        self._totals["hidden"] += len(image.hidden)
        self._totals["bytes"] += image.bytes
        self._images_of_type[image.cell_type] += 1
        of_category = dict(zip(image.categories, image.cells_of_category, strict=True))
        self._cells_of_type.update(of_category)
        self._cells_of_type[None] += image.cells - sum(of_category.values())
        self._shapes[image.shape] += 1
        self._arrays.update(image.arrays)
        self._options[json.dumps(image.options, sort_keys=True)] += 1

    def to_dict(self) -> dict[str, Any]:
        """Return the counts as JSON values.

        Returns
        -------
        dict
            ``images``, ``images_without_cells``, ``cells``, ``hidden``; ``bytes``; ``cell_types``, counts per cell
            type; ``shapes``, the most frequent as [H, W, images], and the number of shapes; ``arrays``, with numbers of
            images; ``recipes``, the options of the images with numbers of images.
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
        """Return the cell types in use, sorted, with None last."""
        used = {name for counter in (self._images_of_type, self._cells_of_type) for name in +counter}
        return sorted(used, key=lambda name: (name is None, name or ""))

    def _of_type(self, name: str | None) -> dict[str, Any]:
        return {"cell_type": name, "images": self._images_of_type[name], "cells": self._cells_of_type[name]}


def _most_first(counter: Counter[Any]) -> list[tuple[Any, int]]:
    return sorted(counter.items(), key=lambda item: (-item[1], item[0]))
