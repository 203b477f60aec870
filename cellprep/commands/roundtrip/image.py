"""Decoding and scoring of one image in a worker."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from cellprep.core.decode import energy_to_labels
from cellprep.core.scores import ImageScore, score_image
from cellprep.store import StoredImage


@dataclass(frozen=True, slots=True)
class RoundtripTask:
    """One image to decode: its folder, the decoders, whether to pass them the walls, and their options."""

    path: Path
    decoders: tuple[str, ...]
    walls: bool
    options: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ImageRoundtrip:
    """The outcome for one image.

    Attributes
    ----------
    cell_type
        Its type; empty if it has none.
    scores
        Its score by decoder; empty if it could not be decoded.
    problem
        Why it could not be decoded.
    """

    cell_type: str = ""
    scores: dict[str, ImageScore] = field(default_factory=dict)
    problem: str = ""


def decode_and_score(task: RoundtripTask) -> ImageRoundtrip:
    """Decode and score one image."""
    image = StoredImage(task.path)
    maps, labels = stored_maps(image, task.walls), image.read("labels")
    ignore = image.read("ignore") > 0 if "ignore" in image.arrays else None
    scores = {name: score_image(energy_to_labels(*maps, name, task.options), labels, ignore) for name in task.decoders}
    return ImageRoundtrip(image.attributes.get("cell_type") or "", scores)


def stored_maps(
    image: StoredImage, walls: bool
) -> tuple[NDArray[Any], NDArray[Any], NDArray[Any], NDArray[Any] | None]:
    """Read the inputs of `energy_to_labels`: energy, unit vectors, mask, and the walls if requested."""
    energy, uvec, semseg = (image.read(name) for name in ("energy", "uvec", "semseg"))
    return energy, uvec, semseg[..., 0] + semseg[..., 1], semseg[..., 1] if walls else None
