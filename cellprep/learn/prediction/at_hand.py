"""The weights and stores in the working directory."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

from cellprep.errors import WeightsError
from cellprep.formats.cellprep_store import CellprepStore
from cellprep.learn.prediction.options import SHIPPED
from cellprep.learn.weights import BEST, BUNDLE, FINE_TUNED, describe_weights
from cellprep.text.tables import text_table
from cellprep.text.wording import printable

#: The default store.
DEFAULT_STORE = Path("data.zarr")


@dataclass(frozen=True, slots=True)
class WeightsAtHand:
    """Available weights.

    Attributes
    ----------
    name
        Their value of ``--weights``.
    networks
        Their networks.
    epoch
        Their epoch, if they are from one training.
    figures
        Their validation metrics at that epoch.
    origin
        Their date, or their origin.
    """

    name: str
    networks: tuple[str, ...]
    epoch: str
    figures: str
    origin: str


def find_weights_at_hand() -> list[WeightsAtHand]:
    """Find the runs and weights in this folder, the runs in its folder ``runs``, and the bundled weights."""
    here = Path()
    names = (BEST, BUNDLE, FINE_TUNED)
    runs = [file for name in names for place in ("*", "runs/*") for file in here.glob(f"{place}/{name}")]
    found = [_describe(str(file.parent), file) for file in sorted(runs)]
    found += [_describe(str(file), file) for file in sorted(here.glob("*.safetensors"))]
    found += [_describe(name, file, "comes with the package") for name, file in SHIPPED.items()]
    return [weights for weights in found if weights]


def list_weights() -> list[str]:
    """Return the available weights, one per line."""
    header = ["weights", "networks", "epoch", "validation", "written"]
    rows = [
        [printable(its.name), ", ".join(its.networks), its.epoch, its.figures, its.origin]
        for its in find_weights_at_hand()
    ]
    return text_table(header, rows)


def find_stores() -> list[Path]:
    """Find the stores in this folder."""
    return [path for path in sorted(Path().glob("*.zarr")) if CellprepStore.recognises(path)]


def _describe(name: str, file: Path, origin: str = "") -> WeightsAtHand | None:
    """Return the weights in a file; None if it contains none."""
    try:
        trainings = describe_weights(file)
        written = datetime.fromtimestamp(file.stat().st_mtime)
    except (OSError, WeightsError):
        return None
    told = [training.get("figures") for training in trainings.values()] if len(trainings) == 1 else []
    figures = {  # the facts in a file may be anything
        name: value
        for of_one in told
        if isinstance(of_one, dict)
        for name, value in of_one.items()
        if isinstance(value, (int, float))
    }
    epoch = f"{figures['epoch']:.0f}" if "epoch" in figures else ""
    return WeightsAtHand(name, tuple(trainings), epoch, _in_words(figures), origin or f"{written:%Y-%m-%d %H:%M}")


def _in_words(figures: Mapping[str, float]) -> str:
    return ", ".join(
        f"{printable(name.removeprefix('val_').replace('_', ' '))} {value:.3g}"
        for name, value in figures.items()
        if name.startswith("val_")
    )
