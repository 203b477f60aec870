"""The best backbone, size and learning rate of each network: ``python -m benchmarks.defaults OUT``.

Each arm is one training on images under CELLPREP_TEST_DATA, all with about the same processor time: the number of
epochs depends on the time of one step, so that a network with twice the cost sees half the crops. Existing results in
OUT are continued. ``--only TEXT`` runs the arms whose names contain the text, so that several processes can share the
work.
"""

import argparse
import csv
import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from benchmarks.timing import table

SETS = {"dsb2018": (91, 25), "usiigaci": (12, 5)}  # images for training and validation: about 25 steps an epoch
LEVELS_BY_DEPTH = "(3.0,) * 6 + (2.0, 2.0)"  # the paper's weights at the depths, in pixels, of the bins `sartorius`


@dataclass(frozen=True)
class Arm:
    """A training: one row of the table."""

    network: str
    arch: str
    channels: int
    rate: str
    epochs: int
    data: str = "dsb2018"
    options: tuple[str, ...] = ()
    change: str = ""

    @property
    def name(self) -> str:
        """The name of its folder."""
        extra = "".join(self.options).replace("--", "-").replace("/", "_")
        return f"{self.network}-{self.arch}-{self.channels}-{self.rate}-{self.data}{extra}" + (
            "-depth" * bool(self.change)
        )


ARMS = [
    *(Arm("dn", "unet", 16, rate, 12) for rate in ("1e-2", "3e-3", "1e-3")),
    *(Arm("dn", "published", 16, rate, 16) for rate in ("3e-3", "1e-3", "3e-4", "1e-4")),
    *(Arm("wtn", "published", 16, rate, 8) for rate in ("3e-3", "1e-3")),
    *(Arm("wtn", "unet", 16, rate, 8) for rate in ("1e-2", "3e-3", "1e-3")),
    *(Arm("wtn", "unet", 16, rate, 8, change=LEVELS_BY_DEPTH) for rate in ("3e-3", "1e-3")),
    *(Arm("semseg", "unet", 16, rate, 12) for rate in ("3e-3", "1e-3", "1e-2")),
    *(Arm("dn", "unet", 16, rate, 12, "usiigaci") for rate in ("3e-3", "1e-3")),
    Arm("dn", "published", 16, "1e-3", 16, "usiigaci"),
    *(Arm("dn", "published", 64, rate, 1) for rate in ("1e-3", "1e-4")),
    Arm("dn", "unet", 32, "3e-3", 3),
    Arm("semseg", "unet", 32, "3e-3", 3),
]


def prepare(out: Path, name: str) -> None:
    """Link some evenly spaced images and masks, and build their store."""
    data, folder = Path(os.environ["CELLPREP_TEST_DATA"]) / name, out / name
    if (out / f"{name}.zarr").exists():
        return
    held_back = (data / "validation_ids.txt").read_text().split()
    known = sorted(path.stem for path in (data / "images").glob("*.tif"))
    train, validate = SETS[name]
    chosen = spread([one for one in known if one not in held_back], train)
    validation = spread(sorted(held_back), validate)
    for kind in ("images", "masks"):
        (folder / kind).mkdir(parents=True, exist_ok=True)
        for one in [*chosen, *validation]:
            (folder / kind / f"{one}.tif").symlink_to(data / kind / f"{one}.tif")
    (out / f"{name}.txt").write_text("\n".join(validation) + "\n")
    subprocess.run(
        [sys.executable, "-m", "cellprep", "build-targets", folder, "--out", out / f"{name}.zarr"], check=True
    )


def spread(names: list[str], count: int) -> list[str]:
    """Return some evenly spaced names."""
    return [names[place * len(names) // count] for place in range(count)]


def train(out: Path, arm: Arm) -> None:
    """Run an arm, or resume it, on one thread."""
    run = out / arm.name
    if run.with_suffix(".done").exists():
        return
    body = ["--arch", arm.arch, "--base-channels", arm.channels, "--max-lr", arm.rate, "--epochs", arm.epochs]
    data = ["--data", out / f"{arm.data}.zarr", "--val-ids", out / f"{arm.data}.txt", "--out", run]
    how = [] if arm.network == "wtn" else ["--normalisation", "percentile"]
    words = ["train", arm.network, *data, *body, *how, "--in-memory", "--workers", 0, *arm.options]
    words += ["--resume"] if (run / "run.json").exists() else []
    change = f"import cellprep.learn.losses as losses; losses._LEVEL_WEIGHTS = {arm.change}; " if arm.change else ""
    program = f"{change}from cellprep.cli import main; main()"
    environment = os.environ | {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
    subprocess.run([sys.executable, "-c", program, *map(str, words)], check=False, env=environment)
    run.with_suffix(".done").touch()


def figures(run: Path) -> list[str]:
    """Return the metrics of a run's last epoch, and the processor seconds of its steps."""
    with (run / "metrics.csv").open(newline="") as file:
        rows = list(csv.DictReader(file))
    skipped = ("epoch", "rate", "seconds")
    return [
        f"{name.removeprefix('val_')} {float(value):.4g}" for name, value in rows[-1].items() if name not in skipped
    ]


def main() -> None:
    """Train, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("out", type=Path)
    parser.add_argument("--only", default="", help="run the arms whose names contain this")
    parser.add_argument("--table", action="store_true", help="print existing results, without training")
    given = parser.parse_args()
    given.out.mkdir(parents=True, exist_ok=True)
    arms = [arm for arm in ARMS if given.only in arm.name]
    for arm in [] if given.table else arms:
        prepare(given.out, arm.data)
        train(given.out, arm)
    rows = [
        [arm.name, str(arm.epochs), ", ".join(figures(given.out / arm.name))]
        for arm in arms
        if (given.out / arm.name / "metrics.csv").exists()
    ]
    sys.stdout.write(table("Equal processor time", ["arm", "epochs", "last epoch"], rows) + "\n")


if __name__ == "__main__":
    main()
