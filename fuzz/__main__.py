"""Feeds every target with damaged input, each in a process whose memory and time are limited."""

import argparse
import faulthandler
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

from cellprep.errors import CellprepError
from fuzz.mutation import mutate
from fuzz.targets import TARGETS

MEMORY = 6 * 2**30
SECONDS = 20  # for one input


def check_line(error: CellprepError) -> None:
    """Raise if an error is not one line that a terminal shows as it is."""
    text = str(error)
    if not text or "\n" in text or any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        raise AssertionError(f"no printable line: {text!r}")


def feed(name: str, inputs: int, seed: int, out: Path) -> int:
    """Feed a target, keep what it stumbles over in a folder, and return how much that is."""
    target, rng, found = TARGETS[name], random.Random(seed), {}
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        seeds = target.seeds(folder)
        before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError(f"more than {SECONDS} s")))
        for _ in range(inputs):
            content = mutate(rng.choice(seeds), rng)
            (out / f"{name}-last").write_bytes(content)  # to be found after a crash
            signal.alarm(SECONDS)
            try:
                target.feed(content, folder)
            except CellprepError as error:
                try:
                    check_line(error)
                except AssertionError as problem:
                    found.setdefault(str(problem)[:60], content)
            except Exception:  # noqa: BLE001 - each of them is what is looked for
                where = traceback.format_exc().splitlines()
                found.setdefault(" | ".join(where[-3:])[-300:], content)
            finally:
                signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    (out / f"{name}-last").unlink(missing_ok=True)
    for number, (problem, content) in enumerate(found.items()):
        (out / f"{name}-{number}").write_bytes(content)
        print(f"{name}: {problem}", flush=True)
    return len(found)


def main() -> int:
    """Feed the targets asked for, and print a table of what came of it."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=[], help=f"of {', '.join(TARGETS)}; all unless given")
    parser.add_argument("--inputs", type=int, default=1000, help="for each target")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("findings"), help="folder for inputs that are stumbled over")
    parser.add_argument("--here", action="store_true", help="feed one target in this process")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.here:
        faulthandler.enable()
        warnings.simplefilter("ignore")
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
        return feed(options.targets[0], options.inputs, options.seed, options.out)
    print(f"{'target':<12}{'inputs':>10}{'seconds':>10}  came of it")
    bad = 0
    for name in options.targets or TARGETS:
        began = time.perf_counter()
        words = [name, "--inputs", str(options.inputs), "--seed", str(options.seed), "--out", str(options.out)]
        done = subprocess.run([sys.executable, "-m", "fuzz", *words, "--here"], check=False)
        outcome = f"{done.returncode} findings" if done.returncode >= 0 else f"killed by signal {-done.returncode}"
        bad += done.returncode != 0
        print(f"{name:<12}{options.inputs:>10,}{time.perf_counter() - began:>10.1f}  {outcome}", flush=True)
    if not any(options.out.iterdir()):
        shutil.rmtree(options.out)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
