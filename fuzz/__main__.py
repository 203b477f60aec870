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
from fuzz.targets import TARGETS

MEMORY = 2**30  # bytes of address space in addition to that for good input
SECONDS = 20  # for one input


def check_line(error: CellprepError) -> None:
    """Raise if an error is not a single printable line."""
    text = str(error)
    if not text or "\n" in text or any(ord(char) < 32 or 127 <= ord(char) < 160 for char in text):
        raise AssertionError(f"not a printable line: {text!r}")


def feed(name: str, inputs: int, seed: int, out: Path, *, seconds: float = float("inf"), limited: bool = False) -> int:
    """Feed a target, save the inputs that fail in a folder, and return their number.

    A lack of memory is allowed: commands report it in one line.

    Parameters
    ----------
    name
        The target.
    inputs, seconds
        Largest number of inputs, and of seconds.
    seed
        Random seed.
    out
        The folder.
    limited
        Whether to limit the address space of this process.
    """
    target, rng, found, ends, fed = TARGETS[name], random.Random(seed), {}, time.monotonic() + seconds, 0
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made)
        seeds = target.seeds(folder)
        if limited:
            for content in seeds:
                target.feed(content, folder)  # must not raise, and loads all modules
            _limit_memory()
        before = signal.signal(signal.SIGALRM, lambda *_: (_ for _ in ()).throw(TimeoutError(f"more than {SECONDS} s")))
        while fed < inputs and time.monotonic() < ends:
            content, fed = target.damage(rng.choice(seeds), rng), fed + 1
            (out / f"{name}-last").write_bytes(content)  # to be found after a crash
            signal.alarm(SECONDS)
            try:
                target.feed(content, folder)
            except CellprepError as error:
                try:
                    check_line(error)
                except AssertionError as problem:
                    found.setdefault(str(problem)[:60], content)
            except MemoryError:
                pass
            except Exception:  # noqa: BLE001 - any exception is a finding
                where = traceback.format_exc().splitlines()
                found.setdefault(" | ".join(where[-3:])[-300:], content)
            finally:
                signal.alarm(0)
        signal.signal(signal.SIGALRM, before)
    (out / f"{name}-last").unlink(missing_ok=True)
    for number, (problem, content) in enumerate(found.items()):
        (out / f"{name}-{number}").write_bytes(content)
        print(f"{name}: {problem}", flush=True)
    if limited:
        print(f"{name}: {fed:,} inputs", flush=True)
    return len(found)


def _limit_memory() -> None:
    """Limit the address space of this process to its present size and this much more."""
    pages = int(Path("/proc/self/statm").read_text().split()[0])
    limit = pages * resource.getpagesize() + MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def main() -> int:
    """Feed the requested targets, and print a table of the outcomes."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("targets", nargs="*", default=[], help=f"some of {', '.join(TARGETS)}; by default all")
    parser.add_argument("--inputs", type=int, default=1000, help="for each target")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="for each target, at most")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("findings"), help="folder for inputs that fail")
    parser.add_argument("--here", action="store_true", help="feed one target in this process")
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)
    if options.here:
        faulthandler.enable()
        warnings.simplefilter("ignore")
        limited = sys.platform == "linux"
        return feed(
            options.targets[0], options.inputs, options.seed, options.out, seconds=options.seconds, limited=limited
        )
    print(f"{'target':<12}{'seconds':>10}  outcome")
    bad = 0
    for name in options.targets or TARGETS:
        began = time.perf_counter()
        words = [name, "--inputs", str(options.inputs), "--seconds", str(options.seconds)]
        words += ["--seed", str(options.seed), "--out", str(options.out)]
        done = subprocess.run([sys.executable, "-m", "fuzz", *words, "--here"], check=False)
        outcome = f"{done.returncode} findings" if done.returncode >= 0 else f"killed by signal {-done.returncode}"
        bad += done.returncode != 0
        print(f"{name:<12}{time.perf_counter() - began:>10.1f}  {outcome}", flush=True)
    if not any(options.out.iterdir()):
        shutil.rmtree(options.out)
    return min(bad, 1)


if __name__ == "__main__":
    sys.exit(main())
