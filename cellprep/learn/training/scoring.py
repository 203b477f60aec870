"""The instances that a network makes of validation images, scored after each epoch: what losses do not tell.

What the network answers stands in place of the true targets, and all else is true: of a ``wn`` or ``wtn`` the energy
(and vectors) within true masks, whose walls are not told; of a ``semseg`` the masks and walls, with the true energy. So
each score is that of one network alone, and cells cannot be had better from it. A network that answers neither has
none: vectors alone part no cells, as those of one cell meet along its ridge, not in a point.
"""

import time
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from cellprep.core.scores import ImageScore, score_image, summarise
from cellprep.learn.networks.kind import Arrays, NetworkKind
from cellprep.learn.prediction.maps import BACKGROUND, PredictedMaps, find_instances
from cellprep.learn.settings import Decoding
from cellprep.learn.training.journal import INSTANCES, Row
from cellprep.store import Store

if TYPE_CHECKING:
    from cellprep.learn.training.trainer import Shown

_MOST_SECONDS = 5.0  # of the processor in an epoch; if it takes more, later epochs score fewer images
_TELLING = {"semseg", "energy"}  # maps of which one decides the instances
_NEEDED = {*_TELLING, "uvec"}


class InstanceScorer:
    """Scores the instances of some validation images, the same ones after each epoch.

    Parameters
    ----------
    store
        The store, which has the true cells.
    kind
        The network.
    decoding
        How its maps are decoded.
    places
        Places of the images among those that are validated; of huge images, which come in parts, none is scored.
    """

    def __init__(self, store: Store, kind: NetworkKind, decoding: Decoding, places: Sequence[int]) -> None:
        self._store, self._decoding = store, decoding
        self.places = [*dict.fromkeys(places)] if _TELLING.intersection(kind.maps) else []

    def score(self, shown: "Iterable[Shown]") -> Row:
        """Return the average precision at an IoU of .5 over all cells; nothing if no image is scored."""
        started = time.process_time()
        found: list[ImageScore] = []
        done: list[int] = []
        for image in shown:
            if image.place not in self.places or "part" in image.batch:
                continue
            if found and time.process_time() - started > _MOST_SECONDS:
                break
            found.append(self._score(image))
            done.append(image.place)
        self.places = done  # comparable from here on, whatever the machine is busy with
        return {INSTANCES: float(summarise(found)["ap"]["0.50"])} if found else {}

    def _score(self, shown: "Shown") -> ImageScore:
        image = self._store[str(shown.batch["id"][0])]
        height, width = image.shape
        true, answered = (
            {name: arrays[name][0, ..., :height, :width].numpy() for name in _NEEDED.intersection(arrays)}
            for arrays in (shown.batch, shown.maps)
        )
        labels, _ = find_instances(maps_of(answered, true), self._decoding)
        ignore = image.read("ignore") if "ignore" in image.arrays else None
        return score_image(labels, image.read("labels"), ignore)


def maps_of(answered: Arrays, true: Arrays) -> PredictedMaps:
    """Return the maps of an image to decode: those that a network answered, and else the true ones.

    Parameters
    ----------
    answered
        By name: ``semseg`` (3, H, W) and ``energy`` (levels, H, W) logits, ``uvec`` (2, H, W); some of these.
    true
        ``semseg`` and ``energy`` (H, W), ``uvec`` (2, H, W).

    Examples
    --------
    >>> true = {"semseg": np.array([[0, 2]]), "energy": np.array([[3, 0]]), "uvec": np.ones((2, 1, 2))}
    >>> maps_of({"energy": np.eye(5)[:, None, [4, 4]]}, true).energy
    array([[4, 0]], dtype=uint8)
    """
    classes = _highest(answered, true, "semseg")
    inside = classes != BACKGROUND
    vectors = answered.get("uvec", true["uvec"])
    still = (vectors == 0).all(axis=0) & inside
    walls_known = "semseg" in answered  # true walls would tell the instances, whatever the energy is
    return PredictedMaps(classes, walls_known, _highest(answered, true, "energy") * inside, still)


def _highest(answered: Arrays, true: Arrays, name: str) -> NDArray[Any]:
    found = answered[name].argmax(axis=0) if name in answered else true[name]
    return found.astype(np.uint8)
