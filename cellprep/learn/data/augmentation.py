"""Augmentations by name: each draws its part of the random changes to a sample."""

from collections.abc import Callable, Collection
from dataclasses import dataclass, replace
from functools import partial

import numpy as np
from numpy.typing import NDArray

from cellprep.errors import UsageError
from cellprep.learn.data.camera import photograph
from cellprep.learn.data.grey import Grey
from cellprep.learn.data.scene import Change, add_debris, change_cells, paste_cells
from cellprep.learn.data.warp import Warp, Waves

_MOST_ZOOM = 4 / 3
_MOST_SCALE = 2

# Shares of the samples: if hardly any sample looks like a real image, networks get worse at real images.
_AT_CONTACTS = 0.5
_CHANGED, _PASTED, _WITH_DEBRIS = 0.4, 0.5, 0.2
_PHOTOGRAPHED = 0.35
_EMPTY = 0.08
_WAVES = 8
_SHORTEST_WAVE, _LONGEST_WAVE = 48, 160  # pixels
_MOST_STRETCH = 0.6  # largest relative change of a length, so that nothing folds; points move by about 2 pixels


@dataclass(frozen=True, slots=True)
class Plan:
    """The changes to one sample.

    Attributes
    ----------
    warp
        The movement: all geometric augmentations in one.
    grey
        Changes of the intensities, if any.
    changes
        Changes of the image and its cells before they are moved, each with the seed of its random numbers.
    camera
        Seed for `photograph`, if it is applied.
    contact
        The contact between cells to show in the middle, as a share of all contacts; None for any position.
    empty
        Seed of a picture without cells that replaces the sample, if any.
    """

    warp: Warp
    grey: Grey | None = None
    changes: tuple[tuple[Change, int], ...] = ()
    camera: int | None = None
    contact: float | None = None
    empty: int | None = None


Augmentation = Callable[[Plan, int, np.random.Generator], Plan]


def _flip(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
    turn = np.diag(rng.choice([-1.0, 1.0], 2))
    if rng.random() < 0.5:
        turn = turn[::-1]
    return _then(plan, turn)


def _rotate(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
    angle = rng.uniform(0, 2 * np.pi)
    return _then(plan, np.array([[np.cos(angle), -np.sin(angle)], [np.sin(angle), np.cos(angle)]]))


def _zoom(plan: Plan, channels: int, rng: np.random.Generator, most: float = _MOST_ZOOM) -> Plan:
    limit = np.log(most)
    return _then(plan, np.eye(2) * np.exp(rng.uniform(-limit, limit)))


def _then(plan: Plan, matrix: np.ndarray) -> Plan:
    return replace(plan, warp=replace(plan.warp, matrix=plan.warp.matrix @ matrix))


def _deform(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
    lengths = np.exp(rng.uniform(np.log(_SHORTEST_WAVE), np.log(_LONGEST_WAVE), _WAVES))
    directions, phases = rng.uniform(0, 2 * np.pi, (2, _WAVES))
    frequencies = (2 * np.pi / lengths) * np.array([np.sin(directions), np.cos(directions)])
    slopes = rng.standard_normal((_WAVES, 2))
    slopes *= rng.uniform(0, _MOST_STRETCH) / np.linalg.norm(slopes, axis=1).sum()
    amplitudes = slopes * lengths[:, None] / (2 * np.pi)  # long waves move more, so that all deform equally
    return replace(plan, warp=replace(plan.warp, waves=Waves(amplitudes, frequencies.T, phases)))


def _tint(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
    return replace(plan, grey=Grey.draw(channels, rng))


def _sometimes(share: float, change: Change) -> Augmentation:
    """Return an augmentation that changes a share of the scenes."""

    def draw(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
        chance, seed = rng.random(), _seed(rng)
        return replace(plan, changes=(*plan.changes, (change, seed))) if chance < share else plan

    return draw


def _photograph(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
    chance, seed = rng.random(), _seed(rng)
    return replace(plan, camera=seed) if chance < _PHOTOGRAPHED else plan


def _look_at_contacts(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
    chance, place = rng.random(2)
    return replace(plan, contact=float(place)) if chance < _AT_CONTACTS else plan


def _empty(plan: Plan, channels: int, rng: np.random.Generator) -> Plan:
    chance, seed = rng.random(), _seed(rng)
    return replace(plan, empty=seed) if chance < _EMPTY else plan


def _seed(rng: np.random.Generator) -> int:
    return int(rng.integers(2**32))


#: The augmentations by name, in the order in which they draw random numbers.
AUGMENTATIONS: dict[str, Augmentation] = {
    "flips": _flip,
    "rotation": _rotate,
    "zoom": _zoom,
    "elastic": _deform,
    "grey": _tint,
    "scale": partial(_zoom, most=_MOST_SCALE),
    "contacts": _look_at_contacts,
    "brightness": _sometimes(_CHANGED, change_cells),
    "paste": _sometimes(_PASTED, paste_cells),
    "debris": _sometimes(_WITH_DEBRIS, add_debris),
    "camera": _photograph,
    "empty": _empty,
}

#: Those that trainings use by default.
USUAL_AUGMENTATIONS = ("flips", "rotation", "zoom", "elastic", "grey")

#: Those that map pixels onto pixels and do not depend on cells.
SIMPLE_AUGMENTATIONS = frozenset({"flips", "grey", "camera"})


def check_augmentations(names: Collection[str]) -> None:
    """Refuse unknown augmentations.

    Raises
    ------
    UsageError
        If a name is not in `AUGMENTATIONS`.
    """
    if isinstance(names, str):
        raise UsageError(f"augment={names!r} is a string: give a sequence of names")
    for name in names:
        if name not in AUGMENTATIONS:
            raise UsageError(f"augmentation {name!r} is unknown: use one of {', '.join(AUGMENTATIONS)}")


def finish_image(plan: Plan, image: NDArray[np.float32]) -> NDArray[np.float32]:
    """Apply a plan's changes of intensities to an image (C, H, W) that was moved already."""
    changed = plan.grey.apply(image) if plan.grey else image
    return changed if plan.camera is None else photograph(changed, np.random.default_rng(plan.camera))


def draw_plan(names: Collection[str], channels: int, rng: np.random.Generator) -> Plan:
    """Draw the changes to a sample.

    Parameters
    ----------
    names
        Names in `AUGMENTATIONS`, in any order.
    channels
        Number of the image's channels.
    rng
        Source of the random numbers.

    Examples
    --------
    >>> draw_plan((), 1, np.random.default_rng(0)).warp.quarter_turn
    array([[1, 0],
           [0, 1]])
    >>> round(draw_plan(("rotation", "flips"), 1, np.random.default_rng(0)).warp.zoom, 6)
    1.0
    """
    plan = Plan(Warp(np.eye(2)))
    for name, augmentation in AUGMENTATIONS.items():
        if name in names:
            plan = augmentation(plan, channels, rng)
    return plan
