"""Changes every byte of a small store in turn, and runs ``verify`` each time: ``python -m fuzz.flips``.

Each byte is changed twice: by one bit, and by all eight. Changes that ``verify`` does not find are reported.
"""

import argparse
import random
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from cellprep import BuildOptions, build_targets, encode_rle, open_source, verify_store

__all__ = ["flips", "make_store", "unfound"]


def make_store(folder: Path) -> Path:
    """Build a store of two images in a folder, one of three overlapping cells each."""
    masks = np.array([np.kron(np.eye(3, 4, k), np.ones((4, 5))) for k in range(2)], bool)
    rows = [f"i{k},{text},20,12,round" for k, text in enumerate(encode_rle(masks))]
    (folder / "s.csv").write_text("\n".join(["id,annotation,width,height,cell_type", *rows]))
    build_targets(open_source(folder / "s.csv"), folder / "s.zarr", BuildOptions(jobs=1, quiet=True))
    return folder / "s.zarr"


def flips(store: Path, seed: int = 0) -> Iterator[tuple[Path, int, int]]:
    """Yield each file of a store, each position in it, and the bits to change there: first one, then all."""
    rng = random.Random(seed)
    for path in sorted(path for path in store.rglob("*") if path.is_file()):
        for place in range(path.stat().st_size):
            yield path, place, 1 << rng.randrange(8)
            yield path, place, 0xFF


def unfound(store: Path, path: Path, place: int, bits: int) -> bool:
    """Change a byte, verify the store, restore the byte, and return whether nothing was found."""
    whole = path.read_bytes()
    damaged = bytearray(whole)
    damaged[place] ^= bits
    try:
        path.write_bytes(damaged)
        return not verify_store(store, jobs=1, quiet=True).errors()
    finally:
        path.write_bytes(whole)


def main() -> int:
    """Change all bytes, and print the changes that were not found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th change only")
    parser.add_argument("--seed", type=int, default=0, help="seed for the bit to change")
    options = parser.parse_args()
    done = missed = 0
    with tempfile.TemporaryDirectory() as folder:
        store = make_store(Path(folder))
        for number, (path, place, bits) in enumerate(flips(store, options.seed)):
            if number % options.every:
                continue
            done += 1
            if unfound(store, path, place, bits):
                missed += 1
                print(f"{path.relative_to(store)}, byte {place}, bits {bits:08b}: not found", flush=True)
    print(f"{done:,} changes, {missed:,} not found")
    return min(missed, 1)


if __name__ == "__main__":
    sys.exit(main())
