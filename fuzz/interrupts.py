"""Interrupts commands with Ctrl-C at moments spread over their run: ``python -m fuzz.interrupts --moments 100``.

Each must end normally, or with the exit code 130 and one line. Interrupts before the package's first line has run are
counted separately, as the package cannot handle them.
"""

import argparse
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import cellprep
from fuzz.commands import COMMANDS, make_inputs

PACKAGE = str(Path(cellprep.__file__).parent)
FIRST = "__init__.py"  # it is named before the package's first line has run
EARLY, CLEAN, UNDISTURBED = "before the package", "one line, 130", "ended before"


def popen(words: list[str], folder: Path, script: str | None) -> subprocess.Popen[str]:
    """Start a command in a folder, in its own process group, as a terminal does."""
    start = [script] if script else [sys.executable, "-m", "cellprep"]
    return subprocess.Popen(
        [*start, *words],
        cwd=folder,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


def judge(code: int, words: str) -> str:
    """Return the outcome of an interrupt."""
    if code == 0 and "Traceback" not in words:
        return UNDISTURBED
    if code == 130 and len([line for line in words.splitlines() if line.startswith("interrupted: ")]) == 1:
        rest = [line for line in words.splitlines() if line and not line.startswith("interrupted: ")]
        bad = [line for line in rest if any(sign in line for sign in ("Traceback", "Warning", "ignored", "Error"))]
        return CLEAN if not bad else f"130, and {bad[0]}"
    ours = [line for line in words.splitlines() if PACKAGE in line and FIRST not in line]
    if code in (1, -signal.SIGINT) and not ours:
        return EARLY
    lines = [line for line in words.splitlines() if line.strip()] or [""]
    return f"exit {code}, {'traceback' if 'Traceback' in words else 'no traceback'}: {lines[-1][:100]}"


def moments(number: int, duration: float, rng: random.Random | None) -> Iterator[float]:
    """Yield seconds after a start: evenly spread, or random."""
    for place in range(number):
        yield rng.uniform(0, duration) if rng else duration * (place + 0.5) / number


def sweep(words: list[str], folder: Path, options: argparse.Namespace, rng: random.Random | None) -> Counter[str]:
    """Interrupt a command at moments of its run, and count the outcomes."""
    outcomes: Counter[str] = Counter()
    began = time.perf_counter()
    popen(words, folder, options.script).communicate()
    duration = options.seconds or time.perf_counter() - began
    for moment in moments(options.moments, duration, rng):
        for left in folder.glob("new*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        process = popen(words, folder, options.script)
        time.sleep(moment)
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGINT)
        try:
            _, told = process.communicate(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
            outcomes["hung for a minute"] += 1
            continue
        outcomes[judge(process.returncode, told)] += 1
        if options.verbose and judge(process.returncode, told) not in (EARLY, CLEAN, UNDISTURBED):
            print(f"--- after {moment:.2f} s\n{told}", flush=True)
    return outcomes


def main() -> int:
    """Sweep over commands, and print a table of the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=[], help=f"some of {', '.join(COMMANDS)}; by default all")
    parser.add_argument("--moments", type=int, default=100, help="for each command")
    parser.add_argument(
        "--seconds", type=float, help="interrupt within these seconds after the start; by default, during the whole run"
    )
    parser.add_argument("--random", action="store_true", help="choose random moments instead of evenly spaced ones")
    parser.add_argument("--script", help="the installed script, to start instead of python -m cellprep")
    parser.add_argument("--verbose", action="store_true", help="show all output other than the one line")
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_inputs(folder)
        for name in options.commands or COMMANDS:
            rng = random.Random(0) if options.random else None
            for outcome, times in sorted(sweep(COMMANDS[name], folder, options, rng).items()):
                print(f"{name:<16}{times:>6}  {outcome}", flush=True)
                bad += outcome not in (EARLY, CLEAN, UNDISTURBED)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
