"""The layers of the package, and what importing it may cost."""

import ast
import subprocess
import sys
from pathlib import Path

import cellprep

PACKAGE = Path(cellprep.__file__).parent
# From below; a room imports from itself and from those before it. Two on one floor do not know each other.
FLOORS = "_version | text, errors, system, core, store, formats, commands | learn, workflows, __init__ | cli, __main__"
ROOMS = {room: number for number, floor in enumerate(FLOORS.split(", ")) for room in floor.split(" | ")}
# Who may know a library that chooses how files are laid out, or is slow to load.
ZARR = ("store/", "formats/ome_zarr/array.py", "formats/ome_zarr/codecs.py")
TORCH = ("learn/", "workflows/")


def imports():
    """Yield each file of the package, by its name in it, with the name of each module that it imports."""
    for path in sorted(PACKAGE.rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            for name in [node.module or ""] if isinstance(node, ast.ImportFrom) else names:
                yield path.relative_to(PACKAGE).as_posix(), name


def room(dotted):
    return dotted.split(".")[1] if "." in dotted else "__init__"


def test_imports_go_down_only():
    for file, name in imports():
        here = file.split("/")[0].removesuffix(".py")
        if name.split(".")[0] == "cellprep" and room(name) != here:
            assert ROOMS[room(name)] < ROOMS[here], f"{file} imports {name}"


def test_libraries_are_known_where_they_belong():
    for file, name in imports():
        library = name.split(".")[0]
        assert library not in {"zarr", "numcodecs", "google_crc32c"} or file.startswith(ZARR), file
        assert library not in {"torch", "safetensors"} or file.startswith(TORCH), file


def test_modules_of_a_room_build_on_each_other_without_circles():
    below = {}
    for file, name in imports():
        here = "cellprep." + file.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        if name.startswith("cellprep.") and name != here:
            below.setdefault(here, set()).add(name)
    done, open_ = set(), []

    def visit(module):
        assert module not in open_, " -> ".join([*open_, module])
        if module not in done:
            open_.append(module)
            for other in below.get(module, ()):
                visit(other)
            done.add(open_.pop())

    for module in below:
        visit(module)


def test_starting_loads_nothing_slow():
    code = "import sys, cellprep.cli; print(*sys.modules)"
    output = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    slow = {"torch", "matplotlib", "pandas", "zarr", "scipy", "skimage", "joblib", "numcodecs", "filelock", "tqdm"}
    assert not slow & set(output.split())
