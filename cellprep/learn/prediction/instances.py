"""The instances of an image with their classes, which may have their own decodings."""

from collections import defaultdict
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from cellprep.core.decode.numbering import number_in_raster_order
from cellprep.learn.prediction.maps import PredictedMaps, count_pixels, decode_maps, find_instances, sums_of_labels
from cellprep.learn.prediction.scaling import Scale
from cellprep.learn.settings import Decoding


@dataclass(frozen=True, slots=True)
class Instances:
    """The instances of one image.

    Attributes
    ----------
    labels
        (H, W) uint16 or uint32: 0 = background, instances 1 to n in raster order.
    left_out
        Number of instances removed because they were too small, or lost most pixels to instances of other classes.
    names
        The names of all classes of the networks; empty if they have none.
    types
        (n,): index of each instance's class in `names`; None without classes.
    type_scores
        (n,): mean probability of that class over the instance's pixels, from 0 to 1; None without classes.
    """

    labels: NDArray[Any]
    left_out: int
    names: tuple[str, ...] = ()
    types: NDArray[np.intp] | None = None
    type_scores: NDArray[np.float64] | None = None

    @property
    def count(self) -> int:
        """The number of instances."""
        return int(self.labels.max())

    @property
    def type_names(self) -> list[str] | None:
        """The name of each instance's class; None without classes."""
        return None if self.types is None else [self.names[number] for number in self.types]

    def at_scale_of_image(self, scale: Scale) -> tuple[Self, NDArray[np.int64]]:
        """Return the instances at the scale of the image, and their former numbers."""
        labels, kept = scale.labels(self.labels)
        return self._taken(labels, kept, self.left_out + self.count - len(kept)), kept

    def of_types(self, wanted: set[str]) -> tuple[Self, NDArray[np.int64]]:
        """Return the instances of some classes, and their former numbers."""
        assert self.types is not None
        kept = np.flatnonzero(np.isin(self.types, [self.names.index(name) for name in wanted])) + 1
        table = np.zeros(self.count + 1, self.labels.dtype)
        table[kept] = np.arange(1, len(kept) + 1)
        return self._taken(table[self.labels], kept, self.left_out), kept

    def _taken(self, labels: NDArray[Any], kept: NDArray[np.int64], left_out: int) -> Self:
        types = None if self.types is None else self.types[kept - 1]
        scores = None if self.type_scores is None else self.type_scores[kept - 1]
        return type(self)(labels, left_out, self.names, types, scores)


def find_typed_instances(maps: PredictedMaps, decoding: Decoding) -> Instances:
    """Decode maps, with class-specific decodings where there are any.

    The whole mask is decoded with each decoding, and only instances of the classes with that decoding are kept. If two
    instances claim a pixel, it belongs to the one with the more probable class; of equals, to that of the first class,
    then to the first in raster order. An instance that loses more than half of its pixels, or is smaller than the
    minimum of its class, is removed, and its pixels become free again.

    Without classes, all instances are decoded as `decoding` says without one.
    """
    probabilities = maps.type_probabilities
    if probabilities is None:
        return Instances(*find_instances(maps, decoding))
    ways: dict[Any, list[int]] = defaultdict(list)
    for number, name in enumerate(maps.types):
        ways[decoding.of(name).key].append(number)
    if len(ways) == 1:
        labels, left_out = find_instances(maps, decoding.of(maps.types[0]))
        types, scores = type_instances(probabilities, labels)
        return Instances(labels, left_out, maps.types, types, scores)
    layers = []
    for numbers in ways.values():
        setting = decoding.of(maps.types[numbers[0]])
        labels = decode_maps(maps, setting)
        types, scores = type_instances(probabilities, labels)
        layers.append(_Layer(labels, types, scores, np.isin(types, numbers), setting.min_area))
    return _joined(layers, maps)


@dataclass(frozen=True, slots=True)
class _Layer:
    """The instances of one decoding; `is_own` (n,) is True for those of classes with that decoding."""

    labels: NDArray[Any]
    types: NDArray[np.intp]
    scores: NDArray[np.float64]
    is_own: NDArray[np.bool_]
    min_area: int


def _joined(layers: list[_Layer], maps: PredictedMaps) -> Instances:
    """Combine layers, starting with the instances of the most probable class."""
    claims = [
        (-layer.scores[place], order, place)
        for order, layer in enumerate(layers)
        for place in np.flatnonzero(layer.is_own).tolist()
    ]
    boxes = [ndimage.find_objects(layer.labels.astype(np.int32, copy=False)) for layer in layers]
    found = np.zeros(maps.shape, np.int32)
    kept: list[np.intp] = []
    for _, order, place in sorted(claims):
        layer, box = layers[order], boxes[order][place]
        own = layer.labels[box] == place + 1
        free = own & (found[box] == 0)
        area = np.count_nonzero(free)
        if area >= max(layer.min_area, np.count_nonzero(own) / 2):
            kept.append(layer.types[place])
            found[box][free] = len(kept)
    labels = number_in_raster_order(found)
    places = np.zeros(len(kept) + 1, np.int64)  # for each final number, the number in the order of insertion
    places[labels[found > 0]] = found[found > 0]
    types = np.array(kept, np.intp)[places[1:] - 1]
    assert maps.type_probabilities is not None
    scores = _means(maps.type_probabilities, labels)[types, np.arange(len(types))]
    return Instances(labels, len(claims) - len(kept), maps.types, types, scores)


def type_instances(
    probabilities: NDArray[np.uint8], labels: NDArray[Any]
) -> tuple[NDArray[np.intp], NDArray[np.float64]]:
    """Return the class of each instance, and its probability.

    Parameters
    ----------
    probabilities
        (K, H, W) uint8, 255 for a probability of 1.
    labels
        (H, W), 0 = background, instances 1 to n, each with at least one pixel.

    Returns
    -------
    types
        (n,): index of the class with the highest mean probability over the instance's pixels; the first of equals.
    scores
        (n,): that mean, from 0 to 1.

    Examples
    --------
    >>> first = np.array([[255, 204, 51]], np.uint8)
    >>> type_instances(np.stack([first, 255 - first]), np.array([[1, 1, 2]]))
    (array([0, 1]), array([0.9, 0.8]))
    """
    means = _means(probabilities, labels)
    return means.argmax(axis=0), means.max(axis=0)


def _means(probabilities: NDArray[np.uint8], labels: NDArray[Any]) -> NDArray[np.float64]:
    """Return the mean probability of each class over each instance: (K, n), exactly equal for equal sums of bytes."""
    totals = np.stack([sums_of_labels(one, labels)[1:] for one in probabilities])
    means: NDArray[np.float64] = totals / count_pixels(labels)[1:] / 255
    return means
