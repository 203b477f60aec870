"""Scores of the instances in validation images after each epoch, which losses do not show.

The network's maps replace the true ones, and everything else is true. For a ``wn`` or ``wtn``, this is the energy (and
the vectors) inside true masks without walls; for a ``semseg``, the masks and walls with the true energy. So each score
measures a single network, and is an upper bound for its cells. A network with neither map has no score: vectors alone
do not separate cells, as those of one cell meet along its ridge, not in a point.
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

_MOST_SECONDS = 5.0  # seconds of CPU time per epoch; if scoring takes longer, later epochs score fewer images
_TELLING = {"semseg", "energy"}  # maps that determine the instances
_NEEDED = {*_TELLING, "uvec"}


class InstanceScorer:
    """Scores the instances of some validation images, the same after each epoch.

    Parameters
    ----------
    store
        The store with the true cells.
    kind
        The network.
    decoding
        The decoding of its maps.
    places
        Positions of the images among the validation images; huge images, which are validated in parts, are not scored.
    """

    def __init__(self, store: Store, kind: NetworkKind, decoding: Decoding, places: Sequence[int]) -> None:
        self._store, self._decoding = store, decoding
        self.places = [*dict.fromkeys(places)] if _TELLING.intersection(kind.maps) else []

    def score(self, shown: "Iterable[Shown]") -> Row:
        """Return the average precision at an IoU of .5 over all cells; an empty row if no image is scored."""
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
        self.places = done  # fixed from here on, so that scores are comparable regardless of the machine's load
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
    """Return the maps of an image for decoding: those that a network predicts, otherwise the true ones.

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
    walls_known = "semseg" in answered  # true walls would reveal the instances, regardless of the energy
    return PredictedMaps(classes, walls_known, _highest(answered, true, "energy") * inside, still)


def _highest(answered: Arrays, true: Arrays, name: str) -> NDArray[Any]:
    found = answered[name].argmax(axis=0) if name in answered else true[name]
    return found.astype(np.uint8)
