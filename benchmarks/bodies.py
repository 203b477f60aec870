"""Backbones of ``semseg``, compared in equal processor time: ``python -m benchmarks.bodies OUT``.

OUT/data.zarr must exist: a store of nuclei, without the images that are only used for scoring. A sixteenth of its
images chooses the backbone: ``semseg`` is trained on the others, and ``dn`` and ``wtn`` are those of ``nuclei``.
The number of crops depends on the time of a training step on this machine. Existing results in OUT are continued.
``--only TEXT`` trains the backbones whose names contain the text, so that several processes can share the work.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import pairwise
from pathlib import Path

import torch
from torch import Tensor, nn

from benchmarks.timing import table
from cellprep import open_store
from cellprep.learn import load_bundle, train, with_decoding
from cellprep.learn.networks import NETWORKS
from cellprep.learn.networks.architectures import Architecture
from cellprep.learn.networks.batch_norm import BatchNorm2d
from cellprep.learn.networks.layers import Body
from cellprep.learn.networks.unet import UNet
from cellprep.learn.prediction.bundle import as_bundle
from cellprep.learn.prediction.tiles import round_up
from cellprep.learn.weights import load_weights
from cellprep.system.output import write_whole
from cellprep.workflows.series import score, validation_images

BATCH, CROP, EPOCHS = 8, 256, 4
IMAGE = (520, 704)  # pixels, as in Sartorius
REPEATS = 5
WEIGHTS = "nuclei"
HOW = {"device": "cpu", "quiet": True}
HEADER = [
    *("backbone", "crops per second", "seconds per image", "million parameters", "crops"),
    *("validation loss", "Kaggle's mean precision", "AP at .5, .7, .9"),
]


class Candidate(UNet):
    """A U-Net made of other blocks.

    Parameters
    ----------
    inputs, outputs
        Numbers of channels.
    widths
        Channels at full size, half the size, and so on.
    block
        Makes the layers at each size from their numbers of input and output channels.
    coarse
        Treat each 2 x 2 pixels as the channels of one: full size is then half the size of the image.
    """

    def __init__(
        self,
        inputs: int,
        outputs: int,
        widths: list[int],
        block: Callable[[int, int], nn.Module],
        *,
        coarse: bool = False,
    ) -> None:
        super().__init__(inputs, outputs, base=1, depth=len(widths) - 1)
        factor = 2 if coarse else 1
        self.multiple *= factor
        pairs = list(pairwise(widths))
        self.first = nn.Sequential(nn.PixelUnshuffle(factor), plain(factor**2 * inputs, widths[0]))
        self.down = nn.ModuleList(block(upper, lower) for upper, lower in pairs)
        self.up = nn.ModuleList(nn.ConvTranspose2d(lower, upper, 2, stride=2) for upper, lower in reversed(pairs))
        self.merge = nn.ModuleList(block(2 * upper, upper) for upper, _ in reversed(pairs))
        self.last = nn.Sequential(nn.Conv2d(widths[0], factor**2 * outputs, 1), nn.PixelShuffle(factor))


def plain(inputs: int, outputs: int) -> nn.Sequential:
    """Return the layers of the bundled weights: two convolutions."""
    return nn.Sequential(*_convolution(inputs, outputs), nn.ReLU(), *_convolution(outputs, outputs), nn.ReLU())


def separable(inputs: int, outputs: int) -> nn.Sequential:
    """Return two convolutions of each channel by itself, each followed by one over the channels."""
    return nn.Sequential(
        *(nn.Conv2d(inputs, inputs, 3, padding=1, bias=False, groups=inputs), *_convolution(inputs, outputs, 1)),
        nn.ReLU(),
        *(nn.Conv2d(outputs, outputs, 3, padding=1, bias=False, groups=outputs), *_convolution(outputs, outputs, 1)),
        nn.ReLU(),
    )


class Residual(nn.Module):
    """Two convolutions, to which their input is added."""

    def __init__(self, inputs: int, outputs: int) -> None:
        super().__init__()
        self.by = nn.Sequential(*_convolution(inputs, outputs, 1))
        self.through = nn.Sequential(*_convolution(inputs, outputs), nn.ReLU(), *_convolution(outputs, outputs))

    def forward(self, given: Tensor) -> Tensor:
        """Return (N, outputs, H, W) for (N, inputs, H, W)."""
        return torch.relu(self.by(given) + self.through(given))


def _convolution(inputs: int, outputs: int, size: int = 3) -> list[nn.Module]:
    return [nn.Conv2d(inputs, outputs, size, padding=size // 2, bias=False), BatchNorm2d(outputs)]


def _doubled(base: int, depth: int = 4, most: int = 1 << 16) -> list[int]:
    return [min(most, base * 2**level) for level in range(depth + 1)]


def _unet(
    widths: list[int], block: Callable[[int, int], nn.Module] = plain, *, coarse: bool = False
) -> Callable[[int, int], Body]:
    return partial(Candidate, widths=widths, block=block, coarse=coarse)


#: What each backbone is, and its constructor from the numbers of channels of its input and its output.
BODIES: dict[str, tuple[str, Callable[[int, int], Body]]] = {
    "unet-16": ("16 channels, as bundled", _unet(_doubled(16))),
    "half-32": ("32 channels, first layers at half the size", _unet(_doubled(32, 3), coarse=True)),
    "narrow-8-32": ("8 channels at full size, 32 at half the size", _unet([8, *_doubled(32, 3)])),
    "residual-16": ("16 channels, residual", _unet(_doubled(16), Residual)),
    "separable-24": ("24 channels, depthwise separable", _unet(_doubled(24), separable)),
    "deep-16": ("16 channels, five halvings, at most 256 channels", _unet(_doubled(16, 5, 256))),
    "unet-24": ("24 channels", _unet(_doubled(24))),
    "unet-8": ("8 channels", _unet(_doubled(8))),
}


def register() -> None:
    """Add the backbones to the architectures of ``semseg``; each has a single width."""
    for name, (_, body) in BODIES.items():
        NETWORKS["semseg"].architectures[name] = Architecture(  # type: ignore[index]
            lambda inputs, outputs, _base, body=body: body(inputs, outputs), base_channels=16, max_lr=3e-3
        )


def step_seconds(body: Body) -> float:
    """Return the processor seconds of a training step on one thread."""
    body.train().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    optimiser = torch.optim.AdamW(body.parameters())
    images = torch.rand(BATCH, 1, CROP, CROP).to(memory_format=torch.channels_last)
    true = torch.randint(0, 3, (BATCH, CROP, CROP))

    def step() -> None:
        optimiser.zero_grad()
        nn.functional.cross_entropy(body(images), true).backward()
        optimiser.step()

    return fastest(step)


@torch.inference_mode()
def image_seconds(body: Body) -> float:
    """Return the processor seconds for the prediction of an image of 520 x 704 pixels on one thread."""
    body.eval().to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    height, width = (round_up(side, body.multiple) for side in IMAGE)
    image = torch.rand(1, 1, height, width).to(memory_format=torch.channels_last)
    return fastest(lambda: body(image))


def fastest(function: Callable[[], object]) -> float:
    """Return the least processor seconds of some calls."""
    seconds = []
    for _ in range(REPEATS):
        started = time.process_time()
        function()
        seconds.append(time.process_time() - started)
    return min(seconds)


def measure(out: Path, name: str, seconds: float) -> None:
    """Train and score a backbone, unless it is done already."""
    file, run, plan = out / f"{name}.json", out / name, out / f"{name}-plan.json"
    if file.exists():
        return
    if not plan.exists():  # an interrupted training continues with the same number of crops
        body = BODIES[name][1](1, 3)
        step, image = step_seconds(body), image_seconds(body)
        size = sum(parameter.numel() for parameter in body.parameters())
        crops = BATCH * max(1, round(seconds / step / EPOCHS))
        write_whole(plan, json.dumps({"crops": EPOCHS * crops, "step": step, "image": image, "parameters": size}))
    planned = json.loads(plan.read_text())
    store = open_store(out / "data.zarr")
    trained = train(
        store,
        "semseg",
        arch=name,
        normalisation="noise-floor",
        val_fraction=1 / 16,
        epochs=EPOCHS,
        samples_per_epoch=planned["crops"] // EPOCHS,
        out=run,
        resume=(run / "run.json").exists(),
        **HOW,
        precision="float32",
        in_memory=True,
        workers=0,
        validation_instances=0,
    )
    given = load_bundle(WEIGHTS)
    others = [part for part in given.parts if part.settings.name != "semseg"]
    bundle = with_decoding(as_bundle([*others, load_weights(run)]), given.decoding)
    report, problems = score(store, bundle, validation_images(run), out / f"{name}-predicted", HOW)
    assert report and not problems, problems
    loss = float(trained.to_dataframe()["val_loss"].min())  # of the epoch whose weights are scored
    write_whole(file, json.dumps({**planned, "val_loss": loss, **report.scores["overall"]}, indent=2) + "\n")


def rows(out: Path) -> list[list[str]]:
    """Return the rows of the table, without backbones that have not been measured."""
    lines = []
    for name, (about, _) in BODIES.items():
        if (out / f"{name}.json").exists():
            its = json.loads((out / f"{name}.json").read_text())
            ap = " ".join(f"{its['ap'][level]:.3f}" for level in ("0.50", "0.70", "0.90"))
            speed = [f"{BATCH / its['step']:.2f}", f"{its['image']:.2f}", f"{its['parameters'] / 1e6:.2f}"]
            found = [f"{its['val_loss']:.3f}", f"{its['kaggle_map']:.3f}", ap]
            lines.append([about, *speed, str(its["crops"]), *found])
    return lines


def main() -> None:
    """Train, score, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--seconds", type=float, default=1000, help="processor time of the steps of each training")
    parser.add_argument("--only", default="", help="train the backbones whose names contain this")
    parser.add_argument("--table", action="store_true", help="print existing results, without training")
    given = parser.parse_args()
    torch.set_num_threads(1)
    register()
    for name in [] if given.table else BODIES:
        if given.only in name:
            measure(given.out, name, given.seconds)
    sys.stdout.write(table("Equal processor time", HEADER, rows(given.out)) + "\n")


if __name__ == "__main__":
    main()
