"""Draws the pictures of the gallery from synthetic images: ``python docs/gallery.py [NAME...]``. It needs PyTorch."""

import csv
import io
import sys
import tempfile
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image

from cellprep import (
    BIN_PRESETS,
    Recipe,
    Store,
    build_targets,
    cells_from_labels,
    check_source,
    compute_targets,
    encode_rle,
    energy_to_labels,
    open_source,
    open_store,
    score_image,
)
from cellprep.commands.demo import write_dataset, write_nuclei
from cellprep.core.colours import label_colours, outlined, vector_colours
from cellprep.learn import PredictionOptions, StoreDataset, load_bundle, segment
from cellprep.learn.prediction.predictor import Predictor
from cellprep.learn.training.rates import one_cycle

DOCS = Path(__file__).parent
CORNER = np.s_[:200, :250]  # the part of a demo image that is shown

Mask = NDArray[np.bool_]


def save(figure: Figure, name: str, quality: int | None = None) -> None:
    """Save a figure on white: lossless with 64 colours, or lossy with a quality."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="white")
    picture = Image.open(buffer).convert("RGB")
    path = DOCS / f"gallery-{name}.webp"
    if quality is None:
        picture = picture.quantize(64, dither=Image.Dither.NONE).convert("RGB")
        picture.save(path, lossless=True, quality=100, method=6)
    else:
        picture.save(path, quality=quality, method=6)


def panels(rows: int, columns: int, width: float = 2.7, height: float = 2.4) -> tuple[Figure, list[Axes]]:
    """Return a figure and its axes, row by row, without ticks."""
    figure = Figure(figsize=(width * columns, height * rows), dpi=80, layout="constrained")
    axes = list(figure.subplots(rows, columns, squeeze=False).ravel())
    for one in axes:
        one.set(xticks=[], yticks=[])
    return figure, axes


def grey(pixels: NDArray[np.generic]) -> NDArray[np.float64]:
    """Return intensities between 0 and 1."""
    low, high = np.percentile(pixels, (0.5, 99.8))
    return np.clip((pixels.astype(float) - low) / (high - low), 0, 1)


def demo_store(folder: Path, name: str) -> Store:
    """Build the store of one of the demo's data sets, ``train`` or ``nuclei``."""
    write = {"train": lambda: write_dataset(folder, images_per_type=1), "nuclei": lambda: write_nuclei(folder)}
    build_targets(write[name](), folder / f"{name}.zarr", images=folder / name, quiet=True)
    return open_store(folder / f"{name}.zarr")


def predictions(folder: Path) -> None:
    """Draw nuclei, and the cells that the bundled weights predict."""
    figure, axes = panels(2, 3, height=2.2)
    for number, stored in enumerate(demo_store(folder, "nuclei").values()):
        image = stored["image"]
        axes[number].imshow(image[CORNER], cmap="gray")
        axes[number + 3].imshow(outlined(grey(image), segment(image, load_bundle(["nuclei"])))[CORNER])
    axes[0].set_ylabel("image")
    axes[3].set_ylabel("prediction")
    save(figure, "predictions", quality=50)


def unsuited(folder: Path) -> None:
    """Draw what the bundled weights find in phase contrast, which they were not trained on."""
    figure, axes = panels(1, 3)
    for one, (name, stored) in zip(axes, demo_store(folder, "train").items(), strict=True):
        labels = segment(stored["image"], load_bundle(["nuclei"]))
        one.imshow(outlined(grey(stored["image"]), labels)[CORNER])
        one.set_title(name, fontsize=9)
    save(figure, "unsuited", quality=40)


def decoders(folder: Path) -> None:
    """Draw the same predicted maps, decoded by each decoder."""
    stored = next(iter(demo_store(folder, "nuclei").values()))
    image, truth = stored["image"], stored["labels"]
    predictor = Predictor(load_bundle(["nuclei"]), PredictionOptions(device="cpu"))
    maps = predictor.predict(image[np.newaxis], keep_uvec=True)
    figure, axes = panels(2, 3)
    axes[0].imshow(outlined(grey(image), truth)[CORNER])
    axes[0].set_title(f"true cells: {truth.max()}", fontsize=9)
    axes[1].imshow(maps.energy[CORNER], cmap="viridis")
    axes[1].set_title("predicted energy", fontsize=9)
    for one, decoder in zip(axes[2:], ("original", "watershed", "walls", "tops"), strict=True):
        uvec, mask, walls = maps.uvec.astype(np.float32), maps.classes != 2, maps.classes == 1
        labels = energy_to_labels(maps.energy, uvec, mask, walls, decoder=decoder)
        one.imshow(label_colours(labels)[CORNER])
        one.set_title(f"{decoder}: {score_image(labels, truth).matched[0]} matched", fontsize=9)
    save(figure, "decoders", quality=50)


def disc(y: float, x: float, radius: float, stretch: float = 1.0) -> Mask:
    """Return the mask of an ellipse in an image of 60 x 80 pixels."""
    rows, columns = np.indices((60, 80))
    return (rows - y) ** 2 + ((columns - x) / stretch) ** 2 < radius**2


def flaws() -> dict[str, list[Mask]]:
    """Return the masks of an image for each rule; the last one shows the flaw."""
    cell, other = disc(30, 40, 15, 1.3), disc(14, 14, 8)
    rim = cell & ~disc(30, 40, 14, 1.3)
    cut = cell & (np.indices(cell.shape)[0] < 29)
    return {
        "duplicate": [other, cell, disc(31, 42, 15, 1.3)],
        "inside": [other, cell, disc(30, 46, 6)],
        "overlap": [other, disc(28, 28, 14), disc(30, 52, 14), disc(29, 40, 9, 1.4)],
        "hidden": [disc(30, 34, 11), disc(30, 45, 11), disc(22, 40, 11), disc(38, 40, 11), disc(30, 40, 11.5)],
        "components": [other, disc(30, 30, 9) | disc(34, 58, 7)],
        "holes": [other, cell & ~disc(30, 42, 8, 1.2)],
        "thin-lines": [other, rim],
        "straight-cut": [other, cut],
        "tiny": [other, cell, disc(40, 64, 1.3)],
        "huge": [disc(30, 40, 27, 1.4)],
        "edge": [other, disc(30, 74, 14)],
        "annotated-twice": [cell, other, disc(44, 66, 10), *(disc(y + 1, x, r, s) for y, x, r, s in
                            ((30, 41, 15, 1.3), (14, 14, 8, 1), (44, 66, 10, 1)))],
    }  # fmt: skip


def rules(folder: Path) -> None:
    """Draw a flaw for each rule of ``check``, in orange where the rule flags an annotation."""
    typical = [disc(y, x, 9) for y in (14, 45) for x in (14, 40, 66)]
    images = {**flaws(), **{f"typical-{number}": typical for number in range(4)}}
    with (folder / "flaws.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["id", "annotation", "width", "height"])
        for name, masks in images.items():
            table.writerows([name, text, 80, 60] for text in encode_rle(np.array(masks)))
    report = check_source(open_source(folder / "flaws.csv"))
    flagged = {(finding.image_id, finding.rule): finding.row for finding in report.findings}
    figure, axes = panels(3, 4, 2.1, 1.85)
    first = 2
    for one, (name, masks) in zip(axes, flaws().items(), strict=True):
        row = flagged[name, name]
        picture = np.full((60, 80, 3), 245, np.uint8)
        for number, mask in enumerate(masks):
            is_flagged = row is None or row == first + number
            colour = np.array((230, 120, 20) if is_flagged else (150, 160, 175))
            picture[mask] = (0.45 * picture[mask] + 0.55 * colour).astype(np.uint8)
        one.imshow(picture)
        one.set_title(name, fontsize=9)
        first += len(masks)
    save(figure, "rules")


def augmentation(folder: Path) -> None:
    """Draw the same crop with each augmentation, and its vectors, which are those of the changed crop."""
    demo_store(folder, "train")
    figure, axes = panels(2, 6, 2.0, 2.1)
    for number, name in enumerate(("none", "flips", "rotation", "zoom", "elastic", "grey")):
        data = StoreDataset(
            folder / "train.zarr", ["uvec"], 96, [] if name == "none" else [name], seed=12, samples_per_epoch=1
        )
        sample = data[0]
        uvec = np.moveaxis(sample["uvec"].numpy(), 0, -1)
        axes[number].imshow(sample["image"][0].numpy(), cmap="gray", vmin=-2.5, vmax=2.5)
        axes[number].set_title(name, fontsize=9)
        axes[number + 6].imshow(vector_colours(uvec))
        y, x = np.mgrid[4:96:8, 4:96:8]
        there = (uvec[y, x] != 0).any(-1)
        v, u = np.moveaxis(uvec[y, x][there], -1, 0)
        axes[number + 6].quiver(x[there], y[there], u, v, angles="xy", scale_units="xy", scale=0.14, width=0.009)
    save(figure, "augmentation", quality=30)


def bins(folder: Path) -> None:
    """Draw the energy of the same cells with several sets of bins, and the level at each distance."""
    sets = {name: preset.bins for name, preset in BIN_PRESETS.items()} | {"custom": (1.0, 4.0, 10.0)}
    cells = cells_from_labels(next(iter(demo_store(folder, "train").values()))["labels"][:150, :200])
    figure, axes = panels(1, 4, 2.7, 2.3)
    reached = np.linspace(0, 30, 1000)
    for one, (name, edges) in zip(axes, sets.items(), strict=False):
        energy = compute_targets(cells, Recipe(bins=edges))["energy"]
        one.imshow(energy, cmap="viridis")
        one.set_title(f"{name}: {len(edges) + 1} levels", fontsize=9)
        axes[3].plot(reached, np.searchsorted(edges, reached, "right"), label=name)
    axes[3].set(xticks=[0, 10, 20, 30], yticks=[0, 5, 10, 15], xlabel="distance in pixels", ylabel="level")
    axes[3].legend(fontsize=7)
    save(figure, "bins")


def schedule(_: Path) -> None:
    """Draw the learning rate over a run."""
    figure = Figure(figsize=(5.2, 2.6), dpi=80, layout="constrained")
    axes = figure.subplots()
    share = np.linspace(0, 1, 500)
    axes.plot(100 * share, [one_cycle(part) for part in share], label="--schedule one-cycle")
    axes.plot(100 * share, np.ones_like(share), "--", label="--schedule constant")
    axes.set(xlabel="steps of the run in %", ylabel="learning rate / maximum", ylim=(0, 1.1))
    axes.legend(fontsize=8, loc="lower center")
    save(figure, "schedule")


PICTURES = {draw.__name__: draw for draw in (predictions, unsuited, decoders, rules, augmentation, bins, schedule)}

if __name__ == "__main__":
    for wanted in sys.argv[1:] or PICTURES:
        with tempfile.TemporaryDirectory() as temporary:
            PICTURES[wanted](Path(temporary))
