"""Faults of run-length texts: a slow, simple parser that runs only to locate one."""

import re
from collections.abc import Sequence
from itertools import pairwise

from cellprep.errors import RLEError

WHITESPACE = " \t\r\n"
LONGEST_NUMBER = 18  # digits that always fit into int64


def first_fault(texts: Sequence[str], shape: tuple[int, int]) -> RLEError:
    """Return an error that describes the first fault of the first faulty text.

    Parameters
    ----------
    texts
        One text per annotation, of which at least one is faulty.
    shape
        (H, W) of the image, in pixels.
    """
    for place, text in enumerate(texts):
        problem = _fault(text, shape)
        if problem:
            return RLEError(place, problem)
    raise AssertionError("the vectorised parser refused texts in which the plain one finds no fault")


def _fault(text: str, shape: tuple[int, int]) -> str | None:
    """Describe the first fault of a text, by parsing it word by word."""
    size = shape[0] * shape[1]
    words = re.findall(rf"[^{WHITESPACE}]+", text)
    for word in words:
        if not re.fullmatch(r"-?[0-9]+", word):
            return f"{_shorten(word)} is not a whole number"
        if len(word) > LONGEST_NUMBER:
            return f"{_shorten(word)} has more than {LONGEST_NUMBER} digits"
    if len(words) % 2:
        return f"it has an odd number of values ({len(words)}): a run has a start and a length"
    runs = []
    for start_word, length_word in zip(words[0::2], words[1::2], strict=True):
        start, length = int(start_word), int(length_word)
        if start < 1:
            return f"start {start} of the run '{start} {length}' is below 1: pixels are counted from 1"
        if length < 1:
            return f"length {length} of the run '{start} {length}' is below 1"
        if start + length - 1 > size:
            return f"run '{start} {length}' goes past the last pixel, {size} ({shape[0]} x {shape[1]})"
        runs.append((start, length))
    runs.sort()
    for (start, length), (next_start, next_length) in pairwise(runs):
        if start + length > next_start:
            return f"runs '{start} {length}' and '{next_start} {next_length}' overlap"
    return None


def _shorten(word: str) -> str:
    return repr(word if len(word) <= 40 else word[:37] + "...")
