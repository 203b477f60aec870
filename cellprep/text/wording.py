"""Words that reports share: numbers with their nouns, and names that others chose."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 1000  # characters of a line
_NAMED = 10  # of a list, or of problems of one kind; more are counted

# As OpenCV, PyTorch and the loader of libraries say it, of the processor's memory and of a graphics card's.
_LACK_OF_MEMORY = ("Insufficient memory", "can't allocate memory", "out of memory", "failed to map segment")


def count(number: int, noun: str) -> str:
    """Return a number with its noun.

    Examples
    --------
    >>> count(1, "image"), count(2000, "cell")
    ('1 image', '2,000 cells')
    """
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def indented(lines: Iterable[str]) -> list[str]:
    """Return lines as the items of a list."""
    return [f"  {line}" for line in lines]


def capped(lines: Iterable[str], noun: str, more: str = "") -> list[str]:
    """Return the first ten lines as the items of a list, and the number of the others; `more` says where they are.

    Examples
    --------
    >>> capped(map(str, range(12)), "image")[-2:]
    ['  9', '  and 2 more images']
    """
    every = list(lines)
    rest = [f"and {count(len(every) - _NAMED, f'more {noun}')}{more}"] if len(every) > _NAMED else []
    return indented([*every[:_NAMED], *rest])


def listed_problems(problems: Iterable[tuple[str, str]], more: str = "") -> list[str]:
    r"""Return what is wrong with each of many things, a line each: ten of every kind, and the number of the others.

    Problems are of one kind if they differ only in the thing's own name, and in numbers, quoted words and paths.

    Parameters
    ----------
    problems
        Names of things, and what is wrong with each.
    more
        Where all are named.

    Examples
    --------
    >>> problems = [(f"a{k}", f"there is no image file a{k}.png") for k in range(12)]
    >>> print(*listed_problems([*problems, ("b", "its mask is empty")], "; look there")[-3:], sep="\n")
      a9: there is no image file a9.png
      and 2 more problems of this kind; look there
      b: its mask is empty
    """
    kinds: dict[str, list[str]] = defaultdict(list)
    for name, problem in problems:
        kinds[_kind(name, problem)].append(f"{printable(name)}: {printable(problem)}")
    listed = []
    for lines in kinds.values():
        listed += lines[:_NAMED]
        if len(lines) > _NAMED:
            listed.append(f"and {count(len(lines) - _NAMED, 'more problem')} of this kind{more}")
    return indented(listed)


def _kind(name: str, problem: str) -> str:
    """Return a problem without what names its place and value: the name, quoted words, numbers and paths."""
    own = rf"(?<!\w){re.escape(name)}(?!\w)|" if name else ""
    return re.sub(rf"{own}'[^']*'|\"[^\"]*\"|\S*[\d/\\]\S*", "#", problem)


def turning_notes(images: Iterable[tuple[str, str]]) -> list[str]:
    """Return which images were turned as their Orientation tags say, and which were not.

    Parameters
    ----------
    images
        Names, and what became of the tag: applied or ignored, or empty text if it turns nothing.

    Examples
    --------
    >>> turning_notes([("a", "applied"), ("b", "")])
    ['1 image turned as the Orientation tag (EXIF) says; --orientation ignore leaves it as stored:', '  a']
    """
    told = {
        "applied": "turned as the Orientation tag (EXIF) says; --orientation ignore leaves it as stored",
        "ignored": "left as stored, against the Orientation tag (EXIF)",
    }
    names: dict[str, list[str]] = {result: [] for result in told}
    for name, result in images:
        if result:
            names[result].append(printable(name))
    return [
        line
        for result, found in names.items()
        if found
        for line in (f"{count(len(found), 'image')} {told[result]}:", *capped(found, "image"))
    ]


def printable(name: str) -> str:
    r"""Return a name as one line that no terminal acts on, cut where it is endless: ids come from files of others.

    Examples
    --------
    >>> print(printable("0e12"), printable("two\nlines"), printable(""))
    0e12 'two\nlines' ''
    """
    name = f"{name[:_LONGEST]}... ({len(name):,} characters)" if len(name) > 2 * _LONGEST else name
    return name if name.isprintable() and name else repr(name)


def described(value: object) -> str:
    """Return what a value is, in a few words, for the error that refuses it.

    Examples
    --------
    >>> described("a.tif"), described(None), described(3), described([1, 2])
    ("the text 'a.tif'", 'None', 'the int 3', 'a list of 2')
    >>> import numpy as np
    >>> described(np.zeros((2, 3)))
    'float64 of shape (2, 3)'
    """
    kind = type(value).__name__
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if value is None:
        return "None"
    if isinstance(value, type):
        return f"the class {value.__name__}"
    if isinstance(value, str):
        return f"the text {value[:40]!r}"
    if isinstance(value, os.PathLike):
        return f"the path {printable(os.fspath(value))}"
    if shape and dtype is not None:
        return f"{dtype} of shape {tuple(shape)}"
    if isinstance(value, int | float) or shape == ():
        return f"the {dtype or kind} {str(value)[:40]}"
    article = "an" if kind[0] in "AEIOUaeiou" else "a"
    return f"{article} {kind}" + (f" of {len(value):,}" if isinstance(value, list | tuple | dict | set) else "")


def did_you_mean(name: object, known: Iterable[str]) -> str:
    """Return the question that closes an error about a wrong name; empty text if no name is like it.

    Examples
    --------
    >>> did_you_mean("enrgy", ["energy", "area"]), did_you_mean("x", ["energy"])
    ('did you mean energy?', '')
    """
    close = get_close_matches(name, [*known], 3) if isinstance(name, str) else []
    return f"did you mean {' or '.join(map(printable, close))}?" if close else ""


def unexpected(error: Exception) -> str:
    r"""Return one line about an error that nobody foresaw, unless it is a lack of memory, in a library's words or not.

    Examples
    --------
    >>> unexpected(ValueError("so\nit is"))
    'unexpected ValueError: so it is; please report this'
    """
    if isinstance(error, MemoryError) or any(words in str(error) for words in _LACK_OF_MEMORY):
        return "there is not enough memory for it"
    return " ".join(f"unexpected {type(error).__name__}: {error}; please report this".split())
