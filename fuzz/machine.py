"""Runs commands with limited resources or permissions, and shows their messages: ``python -m fuzz.machine``.

A command must either print one line and exit with a non-zero code, or do all of its work; and it must work when it is
run again. If an image failed, there may be three lines: the number of failures, the image, indented, and the reason why
the run ended.
"""

import argparse
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from fuzz.commands import COMMANDS, make_inputs

SECONDS = 90  # for a command

_BOUND = "setpriv --bounding-set=-dac_override,-dac_read_search " if os.geteuid() == 0 else ""
_FAILED = re.compile(r"error: [\d,]+ of [\d,]+ images? failed")
_SHM = "mount -t tmpfs -o {options} tmpfs /dev/shm && "

#: The shell commands before each command, and the redirections after it.
CONDITIONS = {
    "umask 777": (f"umask 777; {_BOUND}", ""),
    "ulimit -f 4": ("ulimit -f 4; ", ""),
    "ulimit -n 12": ("ulimit -n 12; ", ""),
    "ulimit -n 16": ("ulimit -n 16; ", ""),
    "ulimit -n 24": ("ulimit -n 24; ", ""),
    "stdout closed": ("", " >&-"),
    "stdout full": ("", " >/dev/full"),
    "stderr closed": ("", " 2>&-"),
    "stderr full": ("", " 2>/dev/full"),
    "shm tiny": (_SHM.format(options="size=4k"), ""),
    "shm read-only": (_SHM.format(options="ro"), ""),
    "0.5 GB": (f"ulimit -v {2**19}; ", ""),
    "1 GB": (f"ulimit -v {2**20}; ", ""),
    "1.5 GB": (f"ulimit -v {3 * 2**19}; ", ""),
    "2 GB": (f"ulimit -v {2**21}; ", ""),
    "3 GB": (f"ulimit -v {3 * 2**20}; ", ""),
}


def run(words: list[str], folder: Path, before: str, behind: str) -> tuple[int, list[str], float]:
    """Run a command, and return its exit code, the lines on standard error, and the seconds that it took."""
    line = shlex.join([sys.executable, "-m", "cellprep", *words])
    shell = ["bash", "-c", f"{before}{line}{behind}"]
    if "mount" in before:
        shell = ["unshare", "-m", *shell] if os.geteuid() == 0 else ["unshare", "-rm", *shell]
    began = time.perf_counter()
    try:
        done = subprocess.run(shell, cwd=folder, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired as error:
        told = (error.stderr or b"").decode()
        return 124, told.splitlines(), SECONDS
    return done.returncode, done.stderr.splitlines(), time.perf_counter() - began


def clear(folder: Path) -> None:
    """Remove the outputs of commands."""
    for left in folder.glob("new*"):
        left.chmod(0o700)
        for path in left.rglob("*") if left.is_dir() else ():
            path.chmod(0o700)
        shutil.rmtree(left) if left.is_dir() else left.unlink()


def main() -> int:
    """Run the requested commands under all conditions, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("commands", nargs="*", default=[], help=f"some of {', '.join(COMMANDS)}; by default all")
    parser.add_argument(
        "--condition", action="append", help=f"one of {', '.join(CONDITIONS)}, repeatable; by default all"
    )
    options = parser.parse_args()
    bad = 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        make_inputs(folder, images=6)
        for condition in options.condition or CONDITIONS:
            for name in options.commands or COMMANDS:
                clear(folder)
                code, lines, seconds = run(COMMANDS[name], folder, *CONDITIONS[condition])
                again, _, _ = run(_again(name, folder), folder, "", "")
                silent = condition.startswith("stderr")
                right = again == 0 and (code == 0 or 0 < code < 124) and (code == 0 or silent or _is_one(lines))
                right = right and not any("Traceback" in line or "unexpected" in line for line in lines)
                bad += not right
                told = f"{len(lines)} lines: {lines[-1][:110]}" if lines else ""
                mark = "" if right else "BAD "
                print(f"{condition:<14}{name:<8}{code:>4}{again:>3}{seconds:>6.1f} s  {mark}{told}", flush=True)
    return min(bad, 1)


def _is_one(lines: list[str]) -> bool:
    """Return whether there is one error, optionally after the number and list of failed images."""
    told = [line for line in lines if not line.startswith("  ")]
    return bool(told) and len([line for line in told if not _FAILED.match(line)]) <= 1


def _again(name: str, folder: Path) -> list[str]:
    """Return the command for a second run: after a success, its output exists already."""
    place = folder / "new"
    if name in ("predict", "train") and place.exists():
        clear(folder)
    for file in ("new.json", "new.csv"):
        (folder / file).unlink(missing_ok=True)
    return COMMANDS[name]


if __name__ == "__main__":
    sys.exit(main())
