"""The structure of the package, in numbers and in a drawing: ``python -m benchmarks.house``."""

import argparse
import ast
import io
import sys
import tokenize
from collections.abc import Iterator
from pathlib import Path

from cellprep.core.targets import TARGETS
from cellprep.learn.networks import NETWORKS

ROOT = Path(__file__).parent.parent
DRAWING = ROOT / "docs" / "architecture.svg"
#: The rooms of the package, from the bottom; a room imports from earlier ones. Rooms on one floor do not import each
#: other.
FLOORS = "_version | text, errors, system, core, store, formats, commands | learn, workflows, __init__ | cli, __main__"
#: The floor of each room, from 0 at the bottom.
ROOMS = {room: number for number, floor in enumerate(FLOORS.split(", ")) for room in floor.split(" | ")}

# Pixels of the drawing: the height of a row, the width of a column, and the positions of the first ones.
ROW, HEAD, LEFT, MARGIN = 34, 100, 130, 16

Arrow = tuple[str, str]


def files(tree: Path) -> dict[str, ast.Module]:
    """Return the parsed modules of the package in a tree, by their paths in it, such as ``store/writer.py``.

    Stubs are included: they contain the imports of lazy packages.
    """
    package = tree / "cellprep"
    paths = sorted([*package.rglob("*.py"), *package.rglob("*.pyi")])
    return {path.relative_to(package).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imports(parsed: dict[str, ast.Module]) -> Iterator[tuple[str, str]]:
    """Yield the path of each file with the dotted name of each module that it imports or, for a stub, loads lazily."""
    for file, tree in parsed.items():
        here = "".join(f".{folder}" for folder in file.split("/")[:-1])
        for node in ast.walk(tree):
            if isinstance(node, ast.Import) and not file.endswith(".pyi"):
                yield from ((file, alias.name) for alias in node.names)
            elif isinstance(node, ast.ImportFrom):
                package = [f"cellprep{here}"] if node.level else []
                yield from ((file, ".".join(filter(None, [*package, node.module, alias.name]))) for alias in node.names)


def room_of(file: str) -> str:
    """Return the room of a file: ``store`` of ``store/writer.py``, and ``errors`` of ``errors.py``."""
    return file.split("/", maxsplit=1)[0].partition(".")[0]


def arrows(parsed: dict[str, ast.Module]) -> set[Arrow]:
    """Return the pairs of rooms in which the first imports from the second."""
    here, found = set(map(room_of, parsed)), set()
    for file, name in imports(parsed):
        package, second, *_ = *name.split("."), ""
        if package == "cellprep":
            found.add((room_of(file), second if second in here else "__init__"))
    return {arrow for arrow in found if len(set(arrow)) == 2}


def upward(found: set[Arrow]) -> list[Arrow]:
    """Return the arrows that do not point to a lower floor; without floors, those that no order of rooms allows."""
    if {room for arrow in found for room in arrow} <= ROOMS.keys():
        return sorted((here, there) for here, there in found if ROOMS[here] <= ROOMS[there])
    below: dict[str, set[str]] = {}
    for here, there in found:
        below.setdefault(here, set()).add(there)

    def reaches(start: str, end: str) -> bool:
        seen, waiting = {start}, [start]
        while waiting:
            new = below.get(waiting.pop(), set()) - seen
            seen |= new
            waiting.extend(new)
        return end in seen

    return sorted((here, there) for here, there in found if reaches(there, here))


def rooms() -> list[str]:
    """Return the rooms from the top floor to the lowest, in the order of the drawing."""
    return sorted(ROOMS, key=lambda room: (-ROOMS[room], room))


def docstrings(tree: ast.Module) -> Iterator[ast.Constant]:
    """Yield the docstrings of a module, of its classes and of its functions."""
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        first = body[0] if isinstance(body, list) and body else None
        if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
            yield first.value


def lines_of_code(text: str, tree: ast.Module) -> int:
    """Count the lines with code, other than comments and docstrings."""
    # Tokens of several lines are strings, which count as lines of code unless they are docstrings.
    passive = {tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER}
    tokens = tokenize.generate_tokens(io.StringIO(text).readline)
    spans = [range(token.start[0], token.end[0] + 1) for token in tokens if token.type not in passive]
    words = {line for string in docstrings(tree) for line in range(string.lineno, string.end_lineno + 1)}
    return len({line for span in spans for line in span} - words)


def lines_of_all(tree: ast.Module) -> int:
    """Count the lines of a module's ``__all__``."""
    found = [node for node in tree.body if isinstance(node, ast.Assign) and "__all__" in ast.unparse(node.targets[0])]
    return sum(node.end_lineno - node.lineno + 1 for node in found)


def names_outside(parsed: dict[str, ast.Module], names: set[str], home: str) -> list[str]:
    """Return the files outside a folder that contain any of the names as a string."""
    outside = {file: tree for file, tree in parsed.items() if home not in file.split("/")[:-1]}
    return [file for file, tree in outside.items() if names & texts(tree)]


def texts(tree: ast.Module) -> set[str]:
    """Return the strings in a module's code, without docstrings; f-strings count as their literal parts."""
    words = set(map(id, docstrings(tree)))
    constants = [node for node in ast.walk(tree) if isinstance(node, ast.Constant) and id(node) not in words]
    return {node.value for node in constants if isinstance(node.value, str)}


def measure(tree: Path) -> dict[str, int]:
    """Return the numbers of the package in a tree, by description."""
    parsed = files(tree)
    sources = {file: (tree / "cellprep" / file).read_text(encoding="utf-8") for file in parsed}
    entries = [path.name for path in (tree / "cellprep").iterdir() if path.name != "__pycache__"]
    found, targets, networks = arrows(parsed), set(TARGETS), set(NETWORKS)
    return {  # semseg is both a target and a network, so its name is ambiguous
        "lines": sum(len(text.splitlines()) for text in sources.values()),
        "lines of code, without comments and docstrings": sum(
            lines_of_code(text, parsed[file]) for file, text in sources.items()
        ),
        "files": len(parsed),
        "entries in the package's listing": len(entries),
        "arrows between rooms": len(found),
        "upward arrows": len(upward(found)),
        "files that name a target, outside core/targets": len(names_outside(parsed, targets - networks, "targets")),
        "files that name a network, outside learn/networks": len(names_outside(parsed, networks - targets, "networks")),
        "lines of `__all__`": sum(map(lines_of_all, parsed.values())),
    }


def table(columns: dict[str, dict[str, int]]) -> str:
    """Return a Markdown table with a row for each number and a column for each tree."""
    rows = [["", *columns], ["---"] * (len(columns) + 1)]
    names = next(iter(columns.values()))
    rows += [[name, *(f"{numbers[name]:,}" for numbers in columns.values())] for name in names]
    return "".join(f"| {' | '.join(row)} |\n" for row in rows)


def drawing(parsed: dict[str, ast.Module]) -> str:
    """Return the drawing of the house as SVG: a bar for each room, and a dot for each arrow between two.

    The rooms are arranged as in `FLOORS`, with the lowest floor at the bottom; columns have the same order as rows.
    A dot means that the room of its row imports from the room of its column; so all dots are right of the diagonal.
    """
    place = {room: number for number, room in enumerate(rooms())}
    tops = {room: HEAD + ROW * number for room, number in place.items()}
    width, height = LEFT + ROW * len(place) + MARGIN, HEAD + ROW * len(place) + MARGIN
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        'font-family="Helvetica, Arial, sans-serif">',
        f'<rect width="{width}" height="{height}" fill="#ffffff"/>',
    ]
    for room, top in tops.items():
        middle = LEFT + ROW * place[room] + ROW // 2
        fill = "#e3eef6" if ROOMS[room] % 2 else "#f3f3f3"
        parts += [
            f'<rect x="{MARGIN}" y="{top}" width="{width - 2 * MARGIN}" height="{ROW - 2}" fill="{fill}"/>',
            f'<text x="{MARGIN + 8}" y="{top + 21}" font-size="14" font-weight="bold">{room}</text>',
            f'<text font-size="12" transform="translate({middle - 4} {HEAD - 8}) rotate(-45)">{room}</text>',
            f'<rect x="{middle - 5}" y="{top + ROW // 2 - 6}" width="10" height="10" fill="#999999"/>',
        ]
    for here, there in sorted(arrows(parsed)):
        x, y = LEFT + ROW * place[there] + ROW // 2, tops[here] + ROW // 2 - 1
        colour = "#0072b2" if ROOMS[there] < ROOMS[here] else "#d55e00"
        parts.append(f'<circle cx="{x}" cy="{y}" r="6" fill="{colour}"><title>{here} imports {there}</title></circle>')
    return "\n".join([*parts, "</svg>", ""])


def main() -> None:
    """Print the numbers of some trees, or draw this one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--tree", type=Path, action="append", help="root of a checkout, repeatable; by default this one"
    )
    parser.add_argument("--draw", action="store_true", help=f"write {DRAWING.relative_to(ROOT)} instead")
    options = parser.parse_args()
    if options.draw:
        DRAWING.write_text(drawing(files(ROOT)), encoding="utf-8")
    else:
        sys.stdout.write(table({tree.resolve().name: measure(tree) for tree in options.tree or [ROOT]}))


if __name__ == "__main__":
    main()
