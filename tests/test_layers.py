"""The layers of the package, and what importing it may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

import cellprep

PACKAGE = Path(cellprep.__file__).parent

# A module imports only from rows above its own, or from its own package.
LAYERS = [
    {
        "starting",
        "errors",
        "_version",
        "cloud",
        "flushing",
        "interrupts",
        "memory",
        "places",
        "files",
        "progress",
        "wording",
    },
    {
        "windows",
        "image_ids",
        "file_names",
        "label_images",
        "rle",
        "labels",
        "overlaps",
        "scores",
        "shapes",
        "targets",
        "outlines",
        "folds",
        "synthesis",
        "decode",
    },
    {"image_formats", "image_files", "images", "store", "cluster", "executor", "output", "text_table", "score_table"},
    {"annotations"},
    {
        "napari_layers",
        "preview",
        "build",
        "info",
        "verify",
        "bin_fitting",
        "splitting",
        "export",
        "check",
        "evaluation",
        "roundtrip",
        "learn",
    },
    {"report"},
    {"demo"},
    {"__init__", "cli"},
    {"__main__"},
]
# Within a row, these build on each other in turn.
ORDER_WITHIN = [
    ("wording", "errors", "memory"),
    ("starting", "memory"),
    ("errors", "cloud", "places"),
    ("errors", "memory", "places", "files"),
    ("text_table", "score_table"),
    ("cluster", "executor"),
    ("image_formats", "image_files", "images"),
    ("windows", "label_images", "rle", "labels", "targets", "decode"),
    ("label_images", "outlines"),
    ("rle", "overlaps"),
    ("rle", "shapes"),
    ("label_images", "rle", "scores"),
    ("evaluation", "roundtrip"),
    ("preview", "learn"),
    ("preview", "evaluation"),
    ("export", "learn"),
    ("evaluation", "learn"),
]


def unit(path):
    """The top-level module or package that a file belongs to."""
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def imports(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom):
            yield node.module
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)


def layer(name):
    return next(number for number, names in enumerate(LAYERS) if name in names)


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_go_one_way(path):
    here = unit(path)
    for module in imports(path):
        parts = module.split(".")
        if parts[0] != "cellprep":
            continue
        assert len(parts) > 1, f"{path} imports the package's front door"
        there = parts[1]
        allowed = layer(there) < layer(here) or there == here
        for order in ORDER_WITHIN:
            if here in order and there in order:
                allowed = order.index(there) <= order.index(here)
        assert allowed, f"{here} imports {there}"


def test_only_the_store_and_the_reader_of_other_peoples_zarr_know_it():
    for path in PACKAGE.rglob("*.py"):
        if unit(path) != "store" and path.name not in ("zarr_array.py", "zarr_codecs.py"):
            assert not {"zarr", "numcodecs", "google_crc32c"} & {name.split(".")[0] for name in imports(path)}, path


def test_only_learn_imports_torch():
    for path in PACKAGE.rglob("*.py"):
        if unit(path) != "learn":
            assert not {"torch", "safetensors"} & {name.split(".")[0] for name in imports(path)}, path


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_files_stay_small(path):
    assert len(path.read_text().splitlines()) <= 300


def test_starting_loads_nothing_slow():
    code = "import sys, cellprep.cli; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    slow = {"torch", "matplotlib", "pandas", "zarr", "scipy", "skimage", "joblib", "numcodecs", "filelock", "tqdm"}
    assert not slow & set(output.split())


def test_build_and_learn_meet_in_the_store_only():
    for path in PACKAGE.rglob("*.py"):
        known = {name.split(".")[1] for name in imports(path) if name.startswith("cellprep.")}
        assert not (unit(path) == "learn" and "build" in known), path
        assert not (unit(path) == "build" and "learn" in known), path
