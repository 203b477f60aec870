"""Writes every kind of TIFF that tifffile supports, and compares the images read with the originals.

``python -m fuzz.tiffs`` tests all of them, ``--every 50`` every 50th.
"""

import argparse
import itertools
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import tifffile
from numpy.typing import NDArray
from PIL import Image

from cellprep.errors import ImageFileError
from cellprep.formats.images.file import ImageFile

COMPRESSIONS = (
    *(None, "lzw", "zlib", "packbits", "lzma", "zstd", "lerc", "png", "jpeg"),
    *("jpeg2000", "aperio_jp2000_rgb", "jpegxl", "jpegxr", "webp"),
)
LOSSY = {"jpeg": 12, "aperio_jp2000_rgb": 12, "jpegxr": 12, "webp": 12}  # largest difference of smooth 8-bit values
DTYPES = ("bool", "u1", "i1", "u2", ">u2", "i2", "u4", "i4", "f2", "f4", ">f4", "f8")

# Photometric, samples, planar configuration, extra samples.
LAYOUTS = (
    ("minisblack", 1, None, None),
    ("miniswhite", 1, None, None),
    ("palette", 1, None, None),
    ("rgb", 3, "contig", None),
    ("rgb", 3, "separate", None),
    ("rgb", 4, "contig", "unassalpha"),
    ("minisblack", 3, "contig", None),
    ("minisblack", 3, "separate", None),
    ("minisblack", 2, "contig", "unassalpha"),
)
REFUSALS = (
    "its values are floats with 0 as white",
    "its values are single bits with several channels or a predictor",
    "it has 32-bit values in JPEG 2000",
    "its compression, LERC, has a predictor",
)
HEIGHT, WIDTH = 32, 48

# Pillow's transformation for each Orientation tag.
TURNS = dict(
    zip(
        range(2, 9),
        (
            Image.Transpose.FLIP_LEFT_RIGHT,
            Image.Transpose.ROTATE_180,
            Image.Transpose.FLIP_TOP_BOTTOM,
            Image.Transpose.TRANSPOSE,
            Image.Transpose.ROTATE_270,
            Image.Transpose.TRANSVERSE,
            Image.Transpose.ROTATE_90,
        ),
        strict=True,
    )
)


class Kind(NamedTuple):
    """A kind of TIFF."""

    compression: str | None
    layout: tuple[str, int, str | None, str | None]
    dtype: str
    predictor: int | None
    tile: tuple[int, int] | None
    orientation: int


def kinds() -> Iterator[Kind]:
    """Yield all combinations, whether or not tifffile writes them."""
    yield from itertools.starmap(
        Kind, itertools.product(COMPRESSIONS, LAYOUTS, DTYPES, (None, 2, 3), (None, (16, 16)), range(1, 9))
    )


def write(path: Path, kind: Kind) -> NDArray[Any] | None:
    """Write an image, and return the expected result of reading; None if tifffile does not write this kind."""
    photometric, samples, planar, extra = kind.layout
    if kind.dtype[0] == ">" and kind.compression in ("jpeg2000", "aperio_jp2000_rgb"):
        return None  # tifffile writes the bytes of such values swapped
    if kind.dtype[-2:] == "u2" and kind.compression == "jpeg":
        return None  # it keeps 12 bits
    stored = np.stack([_plane(kind.dtype, number) for number in range(samples)])
    colours = np.random.default_rng(0).integers(0, 2**16, (3, 256), dtype=np.uint16)
    given = stored if planar == "separate" else np.moveaxis(stored, 0, 2)
    try:
        tifffile.imwrite(
            path,
            given if samples > 1 else stored[0],
            byteorder=">" if kind.dtype[0] == ">" else "<",
            photometric=photometric,  # type: ignore[arg-type]
            planarconfig=planar,  # type: ignore[arg-type]
            compression=kind.compression,  # type: ignore[arg-type]
            compressionargs={"level": 95} if kind.compression in ("jpeg", "webp") else None,
            predictor=kind.predictor,  # type: ignore[arg-type]
            tile=kind.tile,
            rowsperstrip=None if kind.tile else 16,
            extrasamples=[extra] if extra else None,  # type: ignore[list-item]
            colormap=colours if photometric == "palette" else None,
            extratags=[(274, "H", 1, kind.orientation, True)],
        )
    except (ValueError, TypeError, KeyError, NotImplementedError, RuntimeError):
        return None
    return _expected(stored, photometric, bool(extra), colours, kind.orientation)


def problem(path: Path, kind: Kind) -> str:
    """Write and read an image, and return the problem; an empty string if there is none."""
    return outcome(path, kind)[1]


def outcome(path: Path, kind: Kind) -> tuple[str, str]:
    """Write and read an image, and return the outcome, with the problem if it is wrong.

    The outcome is read equal, refused with good reason, not written by tifffile, or wrong.
    """
    expected = write(path, kind)
    if expected is None:
        return "not written by tifffile", ""
    try:
        read = ImageFile(path).decode()
    except ImageFileError as error:
        if any(words in str(error) for words in REFUSALS):
            return "refused", ""
        return "wrong", f"refused: {str(error)[-90:]}"
    difference = _difference(read, expected, kind.compression)
    return ("wrong" if difference else "read equal"), difference


def _difference(read: NDArray[Any], expected: NDArray[Any], compression: str | None) -> str:
    if read.shape != expected.shape or read.dtype != expected.dtype:
        return f"{read.dtype} {read.shape} instead of {expected.dtype} {expected.shape}"
    if compression in LOSSY:
        far = np.abs(read.astype(float) - expected.astype(float)).max()
        most = LOSSY[compression] * (1 if expected.dtype.itemsize == 1 else 256)
        return f"differs by {far}" if far > most else ""
    return "" if np.array_equal(read, expected) else "other values"


def _plane(dtype: str, number: int) -> NDArray[Any]:
    """Make a smooth image that differs from all its flips and rotations."""
    rows, columns = np.mgrid[:HEIGHT, :WIDTH]
    values = 20 + rows * 2 + columns + 9 * number  # up to 156
    if dtype == "bool":
        return values % 7 > 2 + rows % 3
    scale = {"i1": 0.5, "u2": 200, ">u2": 200, "i2": 100, "u4": 5e5, "i4": 5e5, "f4": 0.37, ">f4": 0.37, "f8": 0.37}
    plane = (values * scale.get(dtype, 1)).astype(dtype)
    return plane - plane.dtype.type(50) if dtype[0] == "i" else plane


def _expected(
    stored: NDArray[Any], photometric: str, has_alpha: bool, colours: NDArray[np.uint16], orientation: int
) -> NDArray[Any]:
    image = stored[:-1] if has_alpha else stored
    if photometric == "palette":
        image = (colours[:, image[0]] // 256).astype(np.uint8)
    if image.dtype == bool:
        image = np.where(image, 255, 0).astype(np.uint8)
    if photometric == "miniswhite" and image.dtype.kind in "ui":
        limits = np.iinfo(image.dtype)
        image = (limits.max + limits.min - image.astype(np.int64)).astype(image.dtype)
    order = np.arange(HEIGHT * WIDTH, dtype=np.int32).reshape(HEIGHT, WIDTH)
    if orientation in TURNS:
        order = np.asarray(Image.fromarray(order).transpose(TURNS[orientation]))
    turned = np.stack([channel.ravel()[order] for channel in image])
    turned = turned.astype(turned.dtype.newbyteorder("="))
    return turned[0] if len(turned) == 1 else turned


def main() -> int:
    """Test the kinds, and print those that are misread."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--every", type=int, default=1, metavar="N", help="every N-th kind only")
    options = parser.parse_args()
    found: Counter[str] = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for kind in itertools.islice(kinds(), 0, None, options.every):
            path = Path(folder, "a.tif")
            path.unlink(missing_ok=True)
            result, told = outcome(path, kind)
            if told:
                print(f"{kind}: {told}", flush=True)
            found[result] += 1
    print(", ".join(f"{number:,} {what}" for what, number in found.items()))
    return 1 if found["wrong"] else 0


if __name__ == "__main__":
    sys.exit(main())
