"""Draws the pictures of the algorithm, all targets and a report, and writes tables: ``python docs/pictures.py``."""

import io
import shutil
import textwrap
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from matplotlib.figure import Figure
from PIL import Image

from cellprep import FAMILIES, Recipe, cells_from_labels, compute_targets, resolve_overlaps
from cellprep.commands.demo import write_dataset
from cellprep.commands.report import report_dataset
from cellprep.core.cells import Cells
from cellprep.core.colours import SEMSEG_COLOURS, class_colours, label_colours, vector_colours
from cellprep.core.rle import encode_rle, parse_rle
from cellprep.core.synthesis import synthesise_cells
from cellprep.core.targets import Family

DOCS = Path(__file__).parent
SHAPE = (56, 72)


def disc(y: float, x: float, radius: float, stretch: float = 1.0) -> np.ndarray:
    """Return the mask of a disc, or of an ellipse that is `stretch` times as wide as high."""
    rows, columns = np.indices(SHAPE)
    return (rows - y) ** 2 + ((columns - x) / stretch) ** 2 < radius**2


def cells_of(masks: list[np.ndarray], rule: str = "smaller-on-top") -> Cells:
    """Resolve the overlaps of masks."""
    return resolve_overlaps(parse_rle(encode_rle(np.array(masks)), masks[0].shape), rule)


def draw(
    name: str, panels: dict[str, np.ndarray], arrows: dict[str, np.ndarray] | None = None, columns: int = 9
) -> None:
    """Draw arrays side by side: labels, classes, vectors as colours, and others on a scale."""
    height, width = next(iter(panels.values())).shape[:2]
    columns = min(columns, len(panels))
    rows = -(-len(panels) // columns)
    figure = Figure(figsize=(3.1 * columns, rows * (3.1 * height / width + 0.3)), dpi=100, layout="constrained")
    grid = figure.subplots(rows, columns, squeeze=False).ravel()
    for axes in grid[len(panels) :]:
        axes.set_axis_off()
    for axes, (title, array) in zip(grid, panels.items(), strict=False):
        axes.imshow(array, interpolation="nearest", cmap="viridis")
        axes.set_title(title, fontsize=10)
        axes.set(xticks=[], yticks=[])
        vectors = (arrows or {}).get(title)
        if vectors is not None:
            y, x = np.mgrid[2 : vectors.shape[0] : 4, 2 : vectors.shape[1] : 4]
            shown = vectors[y, x]
            there = (shown != 0).any(-1)
            axes.quiver(
                x[there], y[there], shown[there][:, 1], shown[there][:, 0], angles="xy", scale_units="xy", scale=0.3,
                pivot="middle", width=0.007,
            )  # fmt: skip
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png")
    save(Image.open(buffer), name)


def classes(targets: dict[str, np.ndarray]) -> np.ndarray:
    """Return semseg in colours."""
    return SEMSEG_COLOURS[targets["semseg"].argmax(-1)]


def overlaps() -> None:
    """Draw the result of each rule for a small cell that a large one covers."""
    masks = [disc(28, 30, 9), disc(30, 36, 20, 1.3), disc(22, 52, 8)]  # the large one was annotated second
    panels = {"annotations (yellow: two cells)": sum(mask.astype(int) for mask in masks)}
    for rule in ("later-on-top", "smaller-on-top", "background"):
        panels[rule] = label_colours(cells_of(masks, rule).labels)
    draw("overlaps", panels)


def walls() -> None:
    """Draw the wall that separates two touching cells."""
    cells = cells_of([disc(28, 26, 15), disc(28, 46, 12)])
    targets = compute_targets(cells)
    together = compute_targets(cells_from_labels(np.minimum(cells.labels, 1)))
    draw(
        "walls",
        {
            "labels": label_colours(cells.labels),
            "semseg: the wall is part of the lower cell": classes(targets),
            "distance with the wall": targets["distance"],
            "distance without a wall": together["distance"],
        },
    )


def distance() -> None:
    """Draw one distance for all cells of a cluster, a distance for each cell alone, and the energy and vectors."""
    masks = [disc(24, 20, 14), disc(36, 38, 13, 1.2), disc(18, 42, 9), disc(30, 58, 10), disc(46, 18, 8)]
    cells = cells_of(masks)
    targets = compute_targets(cells)
    alone = np.zeros(SHAPE, np.float32)
    for label in range(1, len(masks) + 1):
        visible = (cells.labels == label) & (targets["semseg"][..., 0] == 1)
        alone += compute_targets(cells_from_labels(visible.astype(int)))["distance"]
    if not np.array_equal(alone, targets["distance"]):
        raise ValueError("the page says that these distances are equal")
    made = {"energy from this distance": targets["energy"], "uvec from this distance": vector_colours(targets["uvec"])}
    draw("distance", {"distance, all cells at once": targets["distance"], "distance, each cell alone": alone, **made})


def padding() -> None:
    """Draw the vectors of a cell cut by the edge of the image, as in the targets and as with zero padding."""
    cut = cells_of([disc(24, 4, 17)])
    targets = compute_targets(cut)
    ended = np.pad(cut.labels, ((0, 0), (1, 0)))[:, :-1]  # a column of background at the edge
    zeros = compute_targets(cells_from_labels(ended))
    names = {"the cell continues beyond the edge": targets, "with zero padding": zeros}
    vectors = {name: made["uvec"][3:45, :40] for name, made in names.items()}
    panels = {"a cell at the left edge": label_colours(cut.labels)[3:45, :40]}
    draw("padding", panels | {name: vector_colours(array) for name, array in vectors.items()}, vectors)


def turning() -> None:
    """Draw the vectors of a cell, rotated correctly and incorrectly."""
    targets = compute_targets(cells_of([disc(28, 36, 13, 1.8)]))
    uvec = targets["uvec"][:, 8:64]  # a square
    wrong = np.rot90(uvec)
    right = np.stack([-wrong[..., 1], wrong[..., 0]], axis=-1)
    panels = {
        "vectors point into the cell": uvec,
        "wrong: only pixels rotated": wrong,
        "correct: vectors rotated too": right,
    }
    draw("turning", {name: vector_colours(array) for name, array in panels.items()}, panels)


def family(name: str) -> None:
    """Draw the targets of a family for a generated image with overlapping cells."""
    cells = resolve_overlaps(list(synthesise_cells(np.random.default_rng(4), (72, 96), "round", share=5)))
    recipe = Recipe(targets=name)
    arrays = compute_targets(cells, recipe)
    panels = {"labels": label_colours(cells.labels)}
    for target in recipe.made.values():
        for title, channel in target.panels(recipe).items():
            array = arrays[target.name]
            shown = DRAWN[target.kind](array if channel is None else array[..., channel])
            if getattr(target, "is_logarithmic", False):
                shown[cells.labels == 0] = np.nan
            panels[target.name + (title.removeprefix(target.title) if channel is not None else "")] = shown
    draw(f"targets-{name}", panels, columns=min(len(panels), 4 if len(panels) > 4 else 5))


#: The function that draws each kind of target.
DRAWN = {
    "values": lambda array: array.astype(float),
    "levels": lambda array: array,
    "classes": lambda array: class_colours(array.shape[-1])[array.argmax(-1)],
    "vectors": vector_colours,
}


def families_page() -> str:
    """Return the sections on the families in Markdown."""
    return "\n\n".join(["\n".join(_family_lines(family)) for family in FAMILIES.values()]) + "\n"


def _family_lines(kind: type[Family]) -> Iterator[str]:
    recipe = Recipe(targets=kind.name)
    yield from (f"## {kind.title}: `{kind.name}`", "", *_wrapped(kind.about), *_wrapped(f"Credit: {kind.credit}."), "")
    yield from (f"![Targets of the family {kind.name}](targets-{kind.name}.webp)", "")
    yield from ("| array | shape | dtype | contents |", "|---|---|---|---|")
    for target in recipe.made.values():
        shape = ", ".join(["H", "W", *map(str, target.shape(1, 1, recipe)[2:])])
        computed = "" if target.is_stored else "; computed when read"
        yield f"| `{target.name}` | ({shape}) | {target.dtype} | {target.about}{computed} |"
    if kind.options():
        yield from ("", "| option | default | values | meaning |", "|---|---|---|---|")
    for name, its in kind.options().items():
        yield f"| `{name}` | {str(kind.defaults()[name]).lower()} | {its.right} | {its.help} |"


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, 120, break_long_words=False, break_on_hyphens=False)


def write_families() -> None:
    """Write the sections on the families into the page on targets."""
    page = DOCS / "targets.md"
    head, mark, _ = page.read_text(encoding="utf-8").partition("<!-- families -->\n")
    page.write_text(f"{head}{mark}\n{families_page()}", encoding="utf-8")


def report_page() -> None:
    """Photograph the page of a report, in which a cell that was annotated twice is excluded."""
    from selenium import webdriver

    options = webdriver.ChromeOptions()
    options.binary_location = shutil.which("chromium") or ""
    for word in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(word)
    with TemporaryDirectory() as folder:
        csv = write_dataset(Path(folder), images_per_type=2)
        *_, last = csv.read_text().splitlines()
        csv.write_text(f"{csv.read_text()}{last}\n")
        report_dataset(csv, Path(folder, "report.html"), images=csv.parent / "train", jobs=1, quiet=True)
        browser = webdriver.Chrome(options, webdriver.ChromeService(shutil.which("chromedriver")))
        try:
            browser.execute_cdp_cmd(
                "Emulation.setDeviceMetricsOverride",
                {"width": 960, "height": 640, "deviceScaleFactor": 1, "mobile": True},
            )
            still = {"name": "prefers-reduced-motion", "value": "reduce"}  # the page would scroll while it is taken
            browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [still]})
            browser.get(Path(folder, "report.html").as_uri())
            browser.find_element("css selector", "body").send_keys("jx")
            browser.execute_script("document.querySelector('.entries').scrollIntoView()")
            photograph = browser.get_screenshot_as_png()
        finally:
            browser.quit()
    save(Image.open(io.BytesIO(photograph)), "report")


def save(picture: Image.Image, name: str) -> None:
    """Write a picture of few colours."""
    few = picture.convert("RGB").quantize(64, dither=Image.Dither.NONE).convert("RGB")
    few.save(DOCS / f"{name}.webp", lossless=True, quality=100, method=6)


if __name__ == "__main__":
    for picture in (overlaps, walls, distance, padding, turning, report_page):
        picture()
    for known in FAMILIES:
        family(known)
    write_families()
