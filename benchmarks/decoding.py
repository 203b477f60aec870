"""Scores and times of each decoder on true and on noisy maps: ``python -m benchmarks.decoding``."""

import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from benchmarks.data import images_of, sources, temporary_folder
from benchmarks.timing import table, time_each
from cellprep import DECODERS, compute_targets, energy_to_labels, resolve_overlaps
from cellprep.core.scores import score_image
from cellprep.formats.annotations.record import ImageRecord

CHART = Path(__file__).parent.parent / "docs" / "decoding.webp"
NOISY_IMAGES = 32
_CROSS = cv2.getStructuringElement(cv2.MORPH_CROSS, (3, 3))


@dataclass(frozen=True)
class Maps:
    """The maps of one image, and the data that they were made from."""

    labels: np.ndarray
    energy: np.ndarray
    uvec: np.ndarray
    mask: np.ndarray
    walls: np.ndarray
    cell_type: str

    def changed(self, **maps: np.ndarray) -> "Maps":
        """Return the maps with some of them replaced."""
        return Maps(**{**vars(self), **maps})


Noise = Callable[[Maps, float, np.random.Generator], Maps]


def wrong_levels(maps: Maps, share: float, rng: np.random.Generator) -> Maps:
    """Shift the level of a share of the mask's pixels by one."""
    hit = (rng.random(maps.energy.shape) < share) & maps.mask
    moved = np.clip(maps.energy.astype(int) + rng.choice([-1, 1], hit.shape), 0, 16)
    return maps.changed(energy=np.where(hit, moved, maps.energy).astype(np.uint8))


def drifting_levels(maps: Maps, spread: float, rng: np.random.Generator) -> Maps:
    """Add smooth noise of some levels, with a grain of a few pixels."""
    field = cv2.GaussianBlur(rng.standard_normal(maps.energy.shape), (0, 0), 2)
    moved = np.clip(np.rint(maps.energy + spread * field / field.std()), 0, 16)
    return maps.changed(energy=np.where(maps.mask, moved, 0).astype(np.uint8))


def lost_walls(maps: Maps, share: float, rng: np.random.Generator) -> Maps:
    """Remove a share of the walls, in gaps of about 5 pixels, which get level 1."""
    spots = (rng.random(maps.walls.shape) < -np.log1p(-share) / 25).astype(np.uint8)
    lost = maps.walls & (cv2.dilate(spots, np.ones((5, 5), np.uint8)) > 0)
    return maps.changed(energy=np.where(lost, 1, maps.energy).astype(np.uint8), walls=maps.walls & ~lost)


def jittered_vectors(maps: Maps, spread: float, rng: np.random.Generator) -> Maps:
    """Add noise to both components inside the mask."""
    noise = rng.normal(0, spread, maps.uvec.shape) if spread else 0
    return maps.changed(uvec=maps.uvec + noise * maps.mask[..., None])


def eroded_mask(maps: Maps, pixels: float, rng: np.random.Generator) -> Maps:
    """Remove the mask's rim and the maps there: networks only see and predict the mask."""
    mask = cv2.erode(maps.mask.astype(np.uint8), _CROSS, iterations=int(pixels)) > 0 if pixels else maps.mask
    uvec = maps.uvec * mask[..., None]
    return maps.changed(mask=mask, energy=maps.energy * mask, uvec=uvec, walls=maps.walls & mask)


def dilated_mask(maps: Maps, pixels: float, rng: np.random.Generator) -> Maps:
    """Add background around the mask, with level 0 and meaningless vectors."""
    mask = cv2.dilate(maps.mask.astype(np.uint8), _CROSS, iterations=int(pixels)) > 0 if pixels else maps.mask
    angle = rng.uniform(0, 2 * np.pi, mask.shape)
    added = (mask & ~maps.mask)[..., None]
    return maps.changed(mask=mask, uvec=np.where(added, np.stack([np.sin(angle), np.cos(angle)], axis=-1), maps.uvec))


#: Each kind of noise: its function, its unit and its amounts.
NOISES: dict[str, tuple[Noise, str, Sequence[float]]] = {
    "wrong levels": (wrong_levels, "share of pixels off by one", (0, 0.01, 0.05, 0.1, 0.2)),
    "drifting levels": (drifting_levels, "standard deviation, levels", (0, 0.2, 0.4, 0.7, 1)),
    "lost walls": (lost_walls, "share of wall pixels", (0, 0.02, 0.1, 0.3, 0.5)),
    "jittered vectors": (jittered_vectors, "standard deviation of components", (0, 0.1, 0.3, 1)),
    "eroded mask": (eroded_mask, "pixels", (0, 1, 2, 3)),
    "dilated mask": (dilated_mask, "pixels", (0, 1, 2, 3)),
}


def maps_of(image: ImageRecord) -> Maps:
    """Make the true maps of an image."""
    annotations = image.load()
    cells = resolve_overlaps(annotations.runs)
    targets = compute_targets(cells)
    walls = targets["semseg"][..., 1] == 1
    return Maps(cells.labels, targets["energy"], targets["uvec"], cells.labels > 0, walls, annotations.cell_type)


def ways() -> dict[str, Callable[[Maps], np.ndarray]]:
    """Return the ways of decoding: each decoder, and those that use walls also with walls given."""
    found = {name: _way(name, False) for name in DECODERS}
    return found | {f"{name}, walls given": _way(name, True) for name in DECODERS if name != "original"}


def _way(name: str, given: bool) -> Callable[[Maps], np.ndarray]:
    return lambda maps: energy_to_labels(maps.energy, maps.uvec, maps.mask, maps.walls if given else None, name)


def round_trip(images: Sequence[ImageRecord]) -> str:
    """Return the table of Kaggle's mean precision by way and cell type, and of time."""
    scores: dict[str, dict[str, list[float]]] = {name: {} for name in ways()}
    for image in images:
        maps = maps_of(image)
        for name, decode in ways().items():
            found = score_image(decode(maps), maps.labels).kaggle_precision
            scores[name].setdefault(maps.cell_type, []).append(found)
    types = sorted(next(iter(scores.values())))
    most = max(images, key=lambda image: len(image.load().runs))
    crowded = maps_of(most)
    rows = []
    for name, decode in ways().items():
        means = [
            np.mean([found for its in types for found in scores[name][its]]),
            *(np.mean(scores[name][its]) for its in types),
        ]
        time = time_each(lambda image, decode=decode: decode(image), [crowded], repeats=5).median
        rows.append([name, *(f"{mean:.4f}" for mean in means), f"{time:.1f}"])
    header = ["decoder", "all", *types, f"ms, image with {len(most.load().runs)} cells"]
    return table(f"True maps decoded again, {len(images)} images: Kaggle's mean precision", header, rows)


def curves(images: Sequence[ImageRecord]) -> dict[str, dict[str, list[float]]]:
    """Return Kaggle's mean precision by kind of noise, way of decoding, and amount."""
    true = [maps_of(image) for image in images]
    found: dict[str, dict[str, list[float]]] = {}
    for kind, (noise, _, amounts) in NOISES.items():
        found[kind] = {name: [] for name in ways()}
        for amount in amounts:
            noisy = [noise(maps, amount, np.random.default_rng(place)) for place, maps in enumerate(true)]
            for name, decode in ways().items():
                scores = [score_image(decode(maps), maps.labels).kaggle_precision for maps in noisy]
                found[kind][name].append(float(np.mean(scores)))
    return found


def draw(found: dict[str, dict[str, list[float]]], title: str, path: Path) -> None:
    """Draw the curves, with a panel for each kind of noise."""
    from matplotlib.figure import Figure

    colours = {"original": "#999999", "watershed": "#e69f00", "walls": "#0072b2", "tops": "#d55e00"}
    figure = Figure(figsize=(11, 7), dpi=120, layout="constrained")
    panels = figure.subplots(2, (len(found) + 1) // 2, sharey=True).ravel()
    for axes, (kind, lines) in zip(panels, found.items(), strict=False):
        for name, values in lines.items():
            decoder = name.split(",")[0]
            style = {"color": colours.get(decoder), "linestyle": "-" if name == decoder else "--", "marker": "o"}
            axes.plot(NOISES[kind][2], values, label=name, markersize=4, **style)
        axes.set(title=kind, xlabel=NOISES[kind][1], ylim=(0, 1))
        axes.grid(alpha=0.3)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("Kaggle's mean precision")
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=5)
    figure.suptitle(title)
    figure.savefig(path)


def main() -> None:
    """Print the tables of the first source, and draw its curves."""
    say = sys.stdout.write
    with temporary_folder() as name:
        csv = next(iter(sources(Path(name)).values()))
        images = images_of(csv)
        say(round_trip(images) + "\n")
        few = images[:: max(1, len(images) // NOISY_IMAGES)]
        found = curves(few)
    for kind, lines in found.items():
        rows = [[name, *(f"{value:.3f}" for value in values)] for name, values in lines.items()]
        header = [f"{kind} ({NOISES[kind][1]})", *map(str, NOISES[kind][2])]
        say(table(f"{kind}, {len(few)} images", header, rows) + "\n")
    draw(found, f"{csv.parent.name}/{csv.name}: decoding noisy maps, {len(few)} images", CHART)


if __name__ == "__main__":
    main()
