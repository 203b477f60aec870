"""The layers of the package, the drawing and the numbers of them, and what importing the package may cost."""

import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import cellprep
from benchmarks import house

PARSED = house.files(Path(cellprep.__file__).parent.parent)
# Who may know a library that chooses how files are laid out, or is slow to load.
ZARR = ("store/", "formats/ome_zarr/array.py", "formats/ome_zarr/codecs.py")
TORCH = ("learn/", "workflows/")


def test_imports_go_down_only():
    assert set(map(house.room_of, PARSED)) == house.ROOMS.keys()
    assert house.upward(house.arrows(PARSED)) == []


def test_libraries_are_known_where_they_belong():
    for file, name in house.imports(PARSED):
        library = name.split(".")[0]
        assert library not in {"zarr", "numcodecs", "google_crc32c"} or file.startswith(ZARR), file
        assert library not in {"torch", "safetensors"} or file.startswith(TORCH), file


def test_modules_build_on_each_other_without_circles():
    dotted = (f"cellprep/{file}".removesuffix(".py").removesuffix("/__init__").replace("/", ".") for file in PARSED)
    modules = dict(zip(PARSED, dotted, strict=True))
    below = {module: set() for module in modules.values()}
    for file, name in house.imports(PARSED):
        module = name if name in below else name.rpartition(".")[0]
        if module != modules[file]:
            below[modules[file]].add(module)
    list(TopologicalSorter(below).static_order())  # which names the modules of a circle


def test_starting_loads_nothing_slow():
    code = "import sys, cellprep.cli; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    slow = {"torch", "matplotlib", "pandas", "zarr", "scipy", "skimage", "joblib", "numcodecs", "filelock", "tqdm"}
    assert not slow & set(output.split())


def test_the_drawing_shows_the_rooms_and_their_imports():
    drawn = house.DRAWING.read_text(encoding="utf-8")
    assert drawn == house.drawing(PARSED), "draw it again: python -m benchmarks.house --draw"
    assert drawn.count(" imports ") == len(house.arrows(PARSED))


@pytest.fixture
def small(tmp_path):
    """A package of three rooms, in which a lower one knows a higher one."""
    texts = {
        "__init__.py": '"""All of it."""\n\n__all__ = [\n    "low",\n]\n',
        "low.py": '"""Low."""\n\nfrom cellprep.high import words  # why\n\n\ndef f():\n    """Two\n    lines."""\n',
        "high/__init__.py": "",
        "high/words.py": "from cellprep import low\n\nNAMES = ['energy', f'{low}dn']\nTEXT = '''a\nb'''\n",
    }
    for file, text in texts.items():
        path = tmp_path / "cellprep" / file
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return tmp_path


def test_the_numbers_of_a_tree(small):
    assert list(house.measure(small).values()) == [18, 9, 4, 3, 2, 2, 1, 1, 3]
    (small / "cellprep" / "core" / "targets").mkdir(parents=True)
    (small / "cellprep" / "high" / "words.py").rename(small / "cellprep" / "core" / "targets" / "words.py")
    numbers = house.measure(small)
    assert numbers["files that name a target, outside core/targets"] == 0
    assert "| lines | 18 |" in house.table({"small": numbers})
