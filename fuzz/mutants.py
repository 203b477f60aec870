"""Mutation tests: small changes of the code, one at a time, each of which must make a test fail.

    pip install cosmic-ray pytest-cov
    python -m pytest -n auto --cov=cellprep --cov-context=test --cov-report= tests cellprep/core cellprep/store
    python -m fuzz.mutants --count 300 --seed 1 --out mutants.jsonl

The changes are those of cosmic-ray, sampled from ``cellprep/core`` and ``cellprep/store``. The second command records
which test runs which line. For a mutant, tests that run the changed line are run until one fails, starting with those
that run little other than its module; so the share of killed mutants is a lower bound. An interrupted run is resumed.
"""

import argparse
import ast
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from queue import SimpleQueue
from typing import Any, NamedTuple

ROOT = Path(__file__).parent.parent
ROOMS = ("core", "store")
MOST_TESTS = 40  # per mutant
SECONDS = 60  # per test; a test that hangs has failed
NEAR = 20  # lines of a statement: only the first is recorded


class Mutant(NamedTuple):
    """A change of a module by an operator of cosmic-ray, at one of the positions that it finds."""

    module: str
    operator: str
    place: int


class _Covered:
    """The tests that run each line, as recorded by coverage.py."""

    def __init__(self, path: Path) -> None:
        from coverage import CoverageData

        data = CoverageData(str(path))
        data.read()
        self._lines: dict[str, dict[int, set[str]]] = {}
        self._sizes: Counter[str] = Counter()
        for file in data.measured_files():
            lines = {
                line: {context.rpartition("|")[0] for context in contexts if context}
                for line, contexts in data.contexts_by_lineno(file).items()
            }
            self._sizes.update(test for tests in lines.values() for test in tests)
            self._lines[Path(file).relative_to(ROOT).as_posix()] = lines

    def tests_of(self, module: str, line: int) -> list[str]:
        """Return tests that run a line, otherwise any line of its module, the most specific tests first."""
        lines = self._lines.get(module, {})
        near = (lines[number] for number in range(line, max(0, line - NEAR), -1) if lines.get(number))
        tests = next(near, set()) or set().union(*lines.values())
        here = Counter(test for those in lines.values() for test in those)
        return sorted(tests, key=lambda test: (-here[test] / self._sizes[test], test))[:MOST_TESTS]


def main() -> None:
    """Run a sample of mutants, and print how many were killed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=300)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--out", type=Path, default=Path("mutants.jsonl"))
    parser.add_argument(
        "--covered", type=Path, default=Path(".coverage"), help="coverage data with the tests of each line"
    )
    options = parser.parse_args()
    mutants = sorted({mutant for room in ROOMS for mutant in _mutants(ROOT / "cellprep" / room)})
    sample = random.Random(options.seed).sample(mutants, options.count)
    print(f"{len(mutants):,} mutants, of which {len(sample)} are run (seed {options.seed})")
    done = _results(options.out)
    covered = _Covered(options.covered)
    trees: SimpleQueue[Path] = SimpleQueue()
    with tempfile.TemporaryDirectory() as folder, options.out.open("a", encoding="utf-8") as out:
        for number in range(options.jobs):
            trees.put(_copy(Path(folder, str(number))))
        with ThreadPoolExecutor(options.jobs) as pool:
            for result in pool.map(
                lambda mutant: _run(mutant, trees, covered), [one for one in sample if one not in done]
            ):
                out.write(json.dumps(result) + "\n")
                out.flush()
                print(f"{result['outcome']:9} {result['module']} {result['change']}", flush=True)
    _summarise([result for mutant, result in _results(options.out).items() if mutant in set(sample)])


def _mutants(folder: Path) -> Iterator[Mutant]:
    """Yield all changes of the modules in a folder, except those of type annotations."""
    from cosmic_ray.ast import ast_nodes, get_ast_from_path
    from cosmic_ray.plugins import get_operator, operator_names

    for path in sorted(folder.rglob("*.py")):
        nodes = list(ast_nodes(get_ast_from_path(path)))
        lines = _lines_of_annotations(path)
        for name in operator_names():
            operator = get_operator(name)
            if operator.arguments():
                continue
            places = [start for node in nodes for start, _ in operator().mutation_positions(node)]
            for number, (line, column) in enumerate(places):
                if not any(first <= (line, column) <= last for first, last in lines):
                    yield Mutant(path.relative_to(ROOT).as_posix(), name, number)


def _lines_of_annotations(path: Path) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """Return the start and end of annotations: changing one has no effect, or breaks the import."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        notes = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        for note in notes:
            if isinstance(note, ast.expr):
                found.append(((note.lineno, note.col_offset), (note.end_lineno or 0, note.end_col_offset or 0)))
    return found


def _copy(tree: Path) -> Path:
    left_out = shutil.ignore_patterns(".git", ".*cache", "__pycache__", "_build", "*.zarr")
    shutil.copytree(ROOT, tree, ignore=left_out)
    return tree


def _run(mutant: Mutant, trees: "SimpleQueue[Path]", covered: _Covered) -> dict[str, Any]:
    from cosmic_ray.mutating import use_mutation
    from cosmic_ray.plugins import get_operator

    tree = trees.get()
    try:
        path = tree / mutant.module
        with use_mutation(path, get_operator(mutant.operator)(), mutant.place) as (before, after):
            line, text = _change(before, after)
            outcome = _test(tree, covered.tests_of(mutant.module, line))
    finally:
        trees.put(tree)
    return {**mutant._asdict(), "change": f"{line}: {text}", "outcome": outcome}


def _test(tree: Path, tests: list[str]) -> str:
    if not tests:
        return "survived"
    command = [sys.executable, "-m", "pytest", "-x", "-q", "-p", "no:cacheprovider", f"--timeout={SECONDS}", *tests]
    environment = {**os.environ, "PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    result = subprocess.run(command, cwd=tree, env=environment, capture_output=True, check=False)
    return "survived" if result.returncode == 0 else "killed"


def _change(before: str, after: str) -> tuple[int, str]:
    """Return the number of the first line that differs, and the line."""
    pairs = zip(before.splitlines(), after.splitlines(), strict=False)
    return next((number, new.strip()) for number, (old, new) in enumerate(pairs, start=1) if old != new)


def _results(path: Path) -> dict[Mutant, dict[str, Any]]:
    if not path.exists():
        return {}
    results = map(json.loads, path.read_text(encoding="utf-8").splitlines())
    return {Mutant(one["module"], one["operator"], one["place"]): one for one in results}


def _summarise(results: list[dict[str, Any]]) -> None:
    for room in ROOMS:
        here = [one["outcome"] for one in results if one["module"].startswith(f"cellprep/{room}/")]
        killed = sum(outcome != "survived" for outcome in here)
        print(f"{room}: {killed} of {len(here)} killed, {100 * killed / max(1, len(here)):.1f} %")
    killed = sum(one["outcome"] != "survived" for one in results)
    print(f"all: {killed} of {len(results)} killed, {100 * killed / max(1, len(results)):.1f} %")


if __name__ == "__main__":
    main()
