"""The layers of the package, the drawing and the numbers of them, and what importing the package may cost."""

import pickle
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
    names = (f"cellprep/{file}".partition(".")[0].removesuffix("/__init__").replace("/", ".") for file in PARSED)
    modules = dict(zip(PARSED, names, strict=True))
    below = {module: set() for module in modules.values()}
    for file, name in house.imports(PARSED):
        module = name if name in below else name.rpartition(".")[0]
        if module != modules[file]:
            below[modules[file]].add(module)
    list(TopologicalSorter(below).static_order())  # which names the modules of a circle


SLOW = {"torch", "pandas", "matplotlib", "zarr", "scipy", "skimage", "joblib", "numcodecs", "filelock", "tqdm"}
SLOW |= {"PIL", "tifffile"}
COMMANDS = "import typer.main, cellprep.cli; commands = typer.main.get_command(cellprep.cli.app).commands"
# What is begun, and what it must not load.
STARTS = {
    "the package": ("import cellprep, cellprep.learn", {*SLOW, "numpy", "cellprep.store"}),
    "the help": ("from cellprep.cli import app; app(['--help'], standalone_mode=False)", {*SLOW, "numpy"}),
    "a command": (f"{COMMANDS}; commands['info']", {*SLOW, "cv2", "cellprep.commands.build_targets"}),
    "every command": (f"{COMMANDS}; [*commands.values()]", SLOW),
}


@pytest.mark.parametrize(("code", "slow"), STARTS.values(), ids=STARTS)
def test_starting_loads_nothing_slow(code, slow):
    code = f"import sys; {code}; print(*sys.modules, file=sys.stderr)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stderr.split()
    assert not slow & {*loaded}


def test_all_names_of_the_package_are_there():
    names = {}
    exec("from cellprep import *", names)
    assert {*names} - {"__builtins__"} == {*dir(cellprep)} == {*cellprep.__all__}
    assert cellprep.build_targets is names["build_targets"]
    assert pickle.loads(pickle.dumps(cellprep.Recipe())) == cellprep.Recipe()
    with pytest.raises(AttributeError, match="nothing"):
        cellprep.nothing  # noqa: B018


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
