"""Families of targets compared with the packages that they come from: equality and costs.

Each other file here is one comparison. It defines ``PACKAGE``, the distribution to compare with, or None if a rule is
reimplemented because no package has it; ``peer(labels)`` and ``ours(labels)``, arrays by the same names; and optionally
``ALIKE``, the largest difference between values that count as equal.
"""

import importlib
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from benchmarks.data import images_of
from benchmarks.timing import table, time_each
from cellprep import resolve_overlaps
from cellprep.store.chunks import encode_chunk

#: Sources of real images in the folder of test data.
SOURCES = {"sartorius": "sartorius/train.csv", "dsb2018": "dsb2018/masks", "usiigaci": "usiigaci/masks"}

#: The measurements of each comparison: by set of images, then by figure.
Figures = dict[str, dict[str, Any]]

Arrays = dict[str, NDArray[Any]]


class Image(NamedTuple):
    """A label image, and the set of images that it belongs to."""

    name: str
    labels: NDArray[Any]


def comparisons() -> list[str]:
    """Return the names of all comparisons."""
    return sorted(path.stem for path in Path(__file__).parent.glob("*.py") if not path.stem.startswith("_"))


def load(name: str) -> tuple[ModuleType, str]:
    """Return a comparison, and the version of the package that it compares with.

    Raises
    ------
    ImportError
        If its package is not installed.
    """
    module = importlib.import_module(f"benchmarks.families.{name}")
    if module.PACKAGE is None:
        return module, ""
    try:
        found = version(module.PACKAGE)
    except PackageNotFoundError:
        raise ImportError(f"{module.PACKAGE} is not installed") from None
    module.peer(np.array([[0, 1, 1], [0, 1, 1], [2, 2, 0]], np.uint16))  # loads it
    return module, found


def real_images(data: Path, limit: int | None = None) -> Iterator[Image]:
    """Yield the label images of each source, evenly chosen if there are more than `limit` of a set."""
    for source, path in SOURCES.items():
        if not (data / path).exists():
            sys.stderr.write(f"{data / path} does not exist: skipped\n")
            continue
        records = images_of(data / path)
        sets: dict[str, list[Any]] = {}
        for record in records:
            cell_type = record.load().cell_type if source == "sartorius" else ""
            sets.setdefault(f"{source} {cell_type}".strip(), []).append(record)
        for name, members in sorted(sets.items()):
            for record in members[:: max(1, -(-len(members) // (limit or len(members))))]:
                yield Image(name, resolve_overlaps(record.load().runs).labels)


def compare(module: ModuleType, images: Iterable[Image], repeats: int = 3) -> Figures:
    """Compare a family with its peer on images, set by set."""
    sets: dict[str, list[dict[str, Any]]] = {}
    for image in images:
        sets.setdefault(image.name, []).append(_compare(module, image.labels, repeats))
    found = {}
    for name, rows in sets.items():
        columns = {key: [row[key] for row in rows] for key in rows[0]}
        medians = {key: [float(value) for value in np.percentile(columns[key], [50, 25, 75])] for key in _QUARTILES}
        worst = {key: max(row[key] for row in columns["largest"]) for key in rows[0]["largest"]}
        sums = {key: sum(columns[key]) for key in ("equal", "differing", "pixels")}
        found[name] = {"images": len(rows), "largest": worst, **sums, **medians}
    return found


_QUARTILES = ("ours", "theirs", "ratio", "bytes")


def _compare(module: ModuleType, labels: NDArray[Any], repeats: int) -> dict[str, Any]:
    """Return the results of one image: milliseconds, differences, and bytes in a store."""
    (ours, our_time), (theirs, their_time) = (_timed(make, labels, repeats) for make in (module.ours, module.peer))
    if ours.keys() != theirs.keys():
        raise ValueError(f"{module.__name__} compares {', '.join(ours)} with {', '.join(theirs)}")
    largest, differs = {}, np.zeros(labels.shape, np.bool_)
    for name, array in ours.items():
        if array.shape != theirs[name].shape:
            raise ValueError(f"{name} has shape {array.shape}, and theirs {theirs[name].shape}")
        apart = np.abs(array.astype(np.float64) - theirs[name]).reshape(*labels.shape, -1).max(axis=-1, initial=0)
        largest[name] = float(apart.max(initial=0))
        differs |= ~(apart <= getattr(module, "ALIKE", 0))  # NaN differs
    return {
        "ours": our_time,
        "theirs": their_time,
        "ratio": their_time / our_time,
        "bytes": sum(len(encode_chunk(array)) for array in ours.values()),
        "largest": largest,
        "equal": int(not differs.any()),
        "differing": int(differs.sum()),
        "pixels": differs.size,
    }


def _timed(make: Callable[[Any], Arrays], labels: NDArray[Any], repeats: int) -> tuple[Arrays, float]:
    """Return the result of a function, and the milliseconds of the fastest repeat."""
    made: list[Arrays] = []
    timing = time_each(lambda given: made.append(make(given)), [labels], repeats)
    return made[-1], timing.median


def load_results(path: Path) -> dict[str, Any]:
    """Return the results of earlier runs, by comparison."""
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def save_results(path: Path, results: dict[str, Any]) -> None:
    """Save results for later runs, which may be in environments with other packages."""
    aside = path.with_suffix(".part")
    aside.write_text(json.dumps(results, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    aside.replace(path)


def tables(results: dict[str, Any]) -> str:
    """Return two tables: of equality, and of costs."""
    equality, costs = [], []
    for name, found in results.items():
        peer = f"{found['package']} {found['version']}" if found["package"] else "reimplemented"
        for place, figures in found["sets"].items():
            worst = max(figures["largest"], key=lambda key: figures["largest"][key])
            largest = f"{figures['largest'][worst]:.3g}" + (f" ({worst})" if figures["largest"][worst] else "")
            share = f"{figures['differing']:,} of {figures['pixels']:,}"
            equality.append([name, peer, place, f"{figures['equal']} of {figures['images']}", largest, share])
            spread = [_spread(figures[key]) for key in ("ours", "theirs")]
            ratio = f"{figures['ratio'][0]:.1f}"
            costs.append([name, place, *spread, ratio, f"{figures['bytes'][0] / 1024:,.0f}", found["noise"]])
    return "\n".join(
        [
            table(
                "Equality",
                ["family", "package", "data set", "equal images", "largest difference", "differing pixels"],
                equality,
            ),
            table(
                "Processor time, ms per image: median (quartiles)",
                ["family", "data set", "cellprep", "package", "ratio", "KiB per image in a store", "noise, ms"],
                costs,
            ),
            "",
        ]
    )


def _spread(figures: list[float]) -> str:
    median, low, high = (f"{value:.2f}" for value in figures)
    return f"{median} ({low} to {high})"


def draw(results: dict[str, Any], path: Path) -> None:
    """Draw the processor time per image of each family and its package, with a panel for each source."""
    from matplotlib.figure import Figure

    names = list(results)
    figure = Figure(figsize=(10, 0.5 * len(names) + 1.5), dpi=80, layout="constrained")
    panels = figure.subplots(1, len(SOURCES), sharey=True, squeeze=False)[0]
    rows = np.arange(len(names))
    for axes, source in zip(panels, SOURCES, strict=True):
        for side, shift, colour, label in (
            ("theirs", -0.2, "#999999", "original package"),
            ("ours", 0.2, "#0072b2", "cellprep"),
        ):
            values = [_median(results[name]["sets"], source, side) for name in names]
            axes.barh(rows + shift, values, 0.38, color=colour, label=label)
        ratios = [_median(results[name]["sets"], source, "ratio") for name in names]
        ends = [max(_median(results[name]["sets"], source, side) for side in ("ours", "theirs")) for name in names]
        for row, ratio, end in zip(rows, ratios, ends, strict=True):
            if np.isfinite(ratio):
                axes.annotate(f"{ratio:.1f} x", (end, row), (4, 0), textcoords="offset points", va="center", fontsize=8)
        axes.set(xscale="log", title=source, xlabel="processor time per image, ms")
        axes.margins(x=0.25)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_yticks(rows, [_label(name, results[name]) for name in names])
    panels[0].invert_yaxis()
    figure.legend(*panels[0].get_legend_handles_labels(), loc="outside lower center", ncols=2)
    figure.savefig(path, pil_kwargs={"lossless": True})


def _median(sets: Figures, source: str, key: str) -> float:
    """Return the median of a figure over the sets of a source, weighted by their numbers of images; NaN if none."""
    values = [figures[key][0] for name, figures in sets.items() if name.split()[0] == source]
    weights = [figures["images"] for name, figures in sets.items() if name.split()[0] == source]
    return float(np.median(np.repeat(values, weights))) if values else float("nan")


def _label(name: str, found: dict[str, Any]) -> str:
    return f"{name}\n({found['package'] or 'reimplemented'})"
