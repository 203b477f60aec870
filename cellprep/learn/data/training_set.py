"""The training images of a store: checked together once, then read one by one."""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.targets import Recipe, how_to_make, sampled_targets
from cellprep.errors import CellprepError, StoreError, TrainingError, UsageError
from cellprep.learn.data.classes import CLASSES, class_names
from cellprep.learn.windowed import WindowedArray, checked
from cellprep.store import Store, StoredImage
from cellprep.system.files import ask_all
from cellprep.system.memory import available_memory
from cellprep.text.wording import printable

_TABLES = 8  # of cells of huge images that are cached, as each crop uses few rows of perhaps a million


class TrainingSet:
    """Images with their targets.

    Parameters
    ----------
    store
        From `cellprep.open_store`.
    ids
        The images, at least one.
    channels
        Number of channels, if it is known from other images; 0 if pixels are not needed.
    targets
        Names of the targets that are needed, ``labels``, and ``classes``; by default all targets of the recipe that
        networks use.
    classes
        Names of the classes of cells; by default the types of the images' cells, sorted.

    Raises
    ------
    UsageError
        If there are no images, or one is not in the store, lacks pixels that are needed, or differs from the first in
        its number of channels or its recipe.
    StoreError
        If the metadata of an image are damaged.

    Attributes
    ----------
    images : list of StoredImage
        In the order of `ids`.
    targets : list of str
        Names of the targets.
    classes : list of str
        Names of the classes of cells, in order; empty unless ``classes`` are among the targets.
    recipe : Recipe
        The recipe of their targets.
    channels : int
        Number of channels. If other images have three, a grey image with one channel counts as three equal ones.
    """

    def __init__(
        self,
        store: Store,
        ids: Sequence[str],
        channels: int | None = None,
        targets: Sequence[str] | None = None,
        classes: Sequence[str] = (),
    ) -> None:
        if not ids:
            raise UsageError(f"no image of {store.path} is chosen: there is nothing to train on")
        self.images = [_find(store, image_id, channels != 0) for image_id in ids]
        self.recipe = _recipe_of(self.images[0])
        self.targets = sampled_targets(self.recipe) if targets is None else [*targets]
        self.classes = [*(classes or class_names(self.images))] if CLASSES in self.targets else []
        self.channels = 0 if channels == 0 else _common_channels(self.images, channels)
        for image in self.images:
            _check_arrays(image, ("labels", "cells", *(name for name in self.targets if name != CLASSES)))
            self._compare(image)
        self._kept: dict[tuple[int, str], NDArray[Any]] = {}
        self._tables: dict[int, NDArray[Any]] = {}

    def __len__(self) -> int:
        return len(self.images)

    def read(self, index: int, names: Iterable[str]) -> dict[str, NDArray[Any]]:
        """Read arrays of an image, by name; ``ignore`` only if it has one, ``image`` always as (C, H, W).

        Those of a huge image are `WindowedArray`, which only read the windows that are cut out of them.

        Raises
        ------
        StoreError
            If an array is damaged.
        TrainingError
            If the image was removed or rebuilt from other data after this set was made.
        """
        image = self.images[index]
        replaced = TrainingError(
            f"{image.path} was rebuilt with another recipe or from other data during this training: start a new "
            "training with another --out; or build it as it was before, and continue with --resume"
        )
        try:
            read = {name: self._read(index, name) for name in names if name in image}
        except StoreError:
            if image.is_as_opened():
                raise
            if not image.path.exists():
                raise TrainingError(
                    f"{image.path} was removed during the training: leave stores in use unchanged"
                ) from None
            raise replaced from None
        if all((index, name) in self._kept for name in read) or image.is_as_opened():
            return read
        raise replaced

    def keep(self, names: Sequence[str], copies: int) -> None:
        """Read arrays of all images and keep them in memory.

        Parameters
        ----------
        names
            Names of the arrays.
        copies
            Number of processes, each of which will have its own copy.

        Raises
        ------
        UsageError
            If they do not fit into the available memory.
        """
        wanted = [(index, name) for index, image in enumerate(self.images) for name in names if name in image]
        needed = copies * sum(_bytes_of(self.images[index], name) for index, name in wanted)
        available = available_memory()
        if available is not None and needed > available:
            raise UsageError(
                f"{len(self)} images need {_size(needed)} of memory, but only {_size(available)} are available: "
                "read them from disk instead, or choose fewer"
            )
        self._kept = {(index, name): np.asarray(self._read(index, name)) for index, name in wanted}

    def _read(self, index: int, name: str) -> Any:
        if (index, name) in self._kept:
            return self._kept[index, name]
        image = self.images[index]
        if image.is_huge or name in image.computed:
            return self._read_huge(index, name)
        array = image.read(name)
        if name != "image":
            return array
        return self._as_wanted(checked(image, array if array.ndim == 3 else array[None]))

    def _read_huge(self, index: int, name: str) -> Any:
        image = self.images[index]
        if name == "image":
            return self._as_wanted(WindowedArray.of_pixels(image))
        if name != "cells":
            return WindowedArray(image, name, image.form(name)[0])
        if index not in self._tables:
            if len(self._tables) >= _TABLES:
                del self._tables[next(iter(self._tables))]
            self._tables[index] = image.read(name)
        return self._tables[index]

    def _as_wanted(self, pixels: Any) -> Any:
        """Return pixels (C, H, W) with the set's number of channels."""
        if len(pixels) == self.channels:
            return pixels
        if isinstance(pixels, WindowedArray):
            return pixels.with_channels(self.channels)
        return np.broadcast_to(pixels, (self.channels, *pixels.shape[1:]))

    def _compare(self, image: StoredImage) -> None:
        first = self.images[0]
        channels = _channels_of(image) if self.channels else 0
        if channels != self.channels and (channels, self.channels) != (1, 3):
            raise UsageError(
                f"image {printable(image.id)} has {channels} channels, but {printable(first.id)} has {self.channels}: "
                "all images must have the same number"
            )
        if _recipe_of(image) != self.recipe:
            raise UsageError(
                f"image {printable(image.id)} was built with another recipe than {printable(first.id)}: "
                "build all images with one recipe, or choose images with the same one"
            )


def _find(store: Store, image_id: str, pixels: bool) -> StoredImage:
    if image_id not in store:
        raise UsageError(f"image {printable(image_id)} is not in {store.path}")
    image = store[image_id]
    if pixels and "image" not in image.arrays:
        raise UsageError(
            f"image {printable(image_id)} of {store.path} has no pixels: build the store with `build-targets --images`"
        )
    return image


def _check_arrays(image: StoredImage, names: Sequence[str]) -> None:
    if missing := [name for name in dict.fromkeys(names) if name not in image]:
        made = _recipe_of(image).made
        advice = how_to_make([name for name in missing if name not in made], image.recipe)
        problem = f"image {printable(image.id)} of {image.path.parent} lacks {', '.join(missing)}"
        raise StoreError(f"{problem}: build it {f'with {advice}' if advice else 'again'}")


def _recipe_of(image: StoredImage) -> Recipe:
    try:
        return Recipe.from_dict(image.metadata.options)
    except (CellprepError, TypeError, KeyError) as error:
        raise StoreError(f"image {printable(image.id)}: its recipe is damaged: {error}") from error


def _channels_of(image: StoredImage) -> int:
    shape, _ = image.form("image")
    return shape[0] if len(shape) == 3 else 1


def _common_channels(images: Sequence[StoredImage], known: int | None) -> int:
    """Return the number of channels of images, where grey images may stand for three equal channels."""
    counts = set(ask_all(images[0].path, _channels_of, images))
    are_colours = counts <= {1, 3} and (3 in counts or known == 3)
    return 3 if are_colours else _channels_of(images[0])


def _bytes_of(image: StoredImage, name: str) -> int:
    shape, dtype = image.form(name)
    return int(np.prod(shape, dtype=np.int64)) * dtype.itemsize


def _size(number: float) -> str:
    return f"{number / 2**30:,.1f} GB" if number >= 2**30 else f"{number / 2**20:,.1f} MB"
