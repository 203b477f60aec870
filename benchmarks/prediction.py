"""The costs of prediction beyond its networks: ``python -m benchmarks.prediction``."""

import sys
import time
from pathlib import Path
from statistics import median

import numpy as np
import torch
from PIL import Image

from benchmarks.data import temporary_folder
from benchmarks.timing import table
from cellprep import cells_from_labels, compute_targets
from cellprep.core.synthesis import synthesise_cells, synthesise_image
from cellprep.learn import Bundle, Network, Normalisation, Weights, build_network, predict
from cellprep.learn.networks import NetworkSettings
from cellprep.learn.prediction.tiles import see

SHAPE = (520, 704)
PADDED = slice(-20, 540), slice(-16, 720)  # its padded size for networks with multiples of 16
IMAGES = 2
REPEATS = 3


class Knowing(Network):
    """A network that computes normally, but returns the truth, so that decoding finds realistic cells."""

    def __init__(self, network: Network, answer: object) -> None:
        super().__init__(network.settings)
        self.network = network
        self.answer = answer

    def forward(self, *given: torch.Tensor) -> object:
        """Compute, and return the truth."""
        self.network(*given)
        return self.answer


def networks(base_channels: int, targets: dict[str, np.ndarray]) -> Bundle:
    """Return networks that return the targets of an image."""
    semseg, uvec = (
        torch.from_numpy(see(np.moveaxis(targets[name], 2, 0), PADDED))[None].float() for name in ("semseg", "uvec")
    )
    levels = torch.nn.functional.one_hot(torch.from_numpy(see(targets["energy"], PADDED)).long(), 17)
    answers = {"wn": (uvec, 9.0 * levels.movedim(2, 0)[None]), "semseg": 9.0 * semseg}
    normalisation = Normalisation("dataset", (128.0,), (160.0,))
    wn, semantic = (
        Weights(
            Knowing(build_network(NetworkSettings(name, base_channels=base_channels), seed=0), answer), normalisation
        )
        for name, answer in answers.items()
    )
    return Bundle(wn, semseg=semantic)


def bare_seconds(bundle: Bundle) -> float:
    """Return the seconds that the two networks alone take for an image."""
    sides = [side.stop - side.start for side in PADDED]
    image, mask = torch.rand(1, 1, *sides), torch.ones(1, 1, *sides)
    start = time.process_time()
    with torch.inference_mode():
        bundle.semseg.network.eval()(image)
        bundle.vectors.network.eval()(image, mask)
    return time.process_time() - start


def whole_seconds(bundle: Bundle, images: Path, out: Path) -> float:
    """Return the seconds that an image takes from its file to its label image and COCO annotations."""
    start = time.process_time()
    report = predict([images], out, bundle, to=("label-tiff", "coco"), device="cpu", quiet=True)
    assert not report.errors()
    return (time.process_time() - start) / IMAGES


def main() -> None:
    """Print a table of the processor time of one thread, which other work on the machine disturbs least."""
    torch.set_num_threads(1)
    rng = np.random.default_rng(0)
    rows = []
    with temporary_folder() as name:
        images = Path(name, "images")
        images.mkdir()
        masks = list(synthesise_cells(rng, SHAPE, "round"))
        for number in range(IMAGES):
            Image.fromarray(synthesise_image(rng, SHAPE, masks)).save(images / f"{number}.png")
        labels = np.zeros(SHAPE, int)
        for number, mask in enumerate(masks, start=1):
            labels[mask] = number
        targets = compute_targets(cells_from_labels(labels))
        for base_channels in (16, 64):
            bundle = networks(base_channels, targets)
            bare_seconds(bundle)
            figures = [
                (bare_seconds(bundle), whole_seconds(bundle, images, Path(name, f"{base_channels}-{repeat}")))
                for repeat in range(REPEATS)
            ]
            bare, whole = (median(column) for column in zip(*figures, strict=True))
            rows.append([str(base_channels), f"{bare:.2f}", f"{whole:.2f}", f"{100 * (whole / bare - 1):.1f} %"])
    header = ["base channels", "networks alone, s", "whole prediction, s", "overhead"]
    title = f"Prediction of an image of {SHAPE[0]} x {SHAPE[1]}, one thread"
    sys.stdout.write(table(title, header, rows) + "\n")


if __name__ == "__main__":
    main()
