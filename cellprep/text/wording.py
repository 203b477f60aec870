"""Wording shared by reports: numbers with nouns, lists and printable names."""

import os
import re
from collections import defaultdict
from collections.abc import Iterable
from difflib import get_close_matches

_LONGEST = 1000  # characters of a line
_NAMED = 10  # items of a list, or problems of one kind; the rest are counted

# Messages of OpenCV, PyTorch and the library loader, for system memory and GPU memory.
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
    """Return lines indented as list items."""
    return [f"  {line}" for line in lines]


def capped(lines: Iterable[str], noun: str, more: str = "") -> list[str]:
    """Return the first ten lines as list items, then the number of the rest; `more` says where they are.

    Examples
    --------
    >>> capped(map(str, range(12)), "image")[-2:]
    ['  9', '  and 2 more images']
    """
    every = list(lines)
    rest = [f"and {count(len(every) - _NAMED, f'more {noun}')}{more}"] if len(every) > _NAMED else []
    return indented([*every[:_NAMED], *rest])


def listed_problems(problems: Iterable[tuple[str, str]], more: str = "") -> list[str]:
    r"""Return one line per problem: the first ten of each kind, then the number of the rest.

    Two problems are of the same kind if they differ only in names, numbers, quoted text and paths.

    Parameters
    ----------
    problems
        Name of each item, and its problem.
    more
        Appended to the number of the rest, such as where all of them are listed.

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
    """Return a problem without its variable parts: name, quoted text, numbers and paths."""
    own = rf"(?<!\w){re.escape(name)}(?!\w)|" if name else ""
    return re.sub(rf"{own}'[^']*'|\"[^\"]*\"|\S*[\d/\\]\S*", "#", problem)


def turning_notes(images: Iterable[tuple[str, str]]) -> list[str]:
    """List the images that were rotated to match their Orientation tag, and those that were not.

    Parameters
    ----------
    images
        Name of each image, and its result: applied, ignored, or empty if the tag has no effect.

    Examples
    --------
    >>> turning_notes([("a", "applied"), ("b", "")])
    ['1 image rotated as the Orientation tag (EXIF) says; --orientation ignore keeps the stored orientation:', '  a']
    """
    told = {
        "applied": "rotated as the Orientation tag (EXIF) says; --orientation ignore keeps the stored orientation",
        "ignored": "kept in the stored orientation; the Orientation tag (EXIF) was ignored",
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
    r"""Return a name as one line that is safe to print to a terminal, shortened if very long.

    Examples
    --------
    >>> print(printable("0e12"), printable("two\nlines"), printable(""))
    0e12 'two\nlines' ''
    """
    name = f"{name[:_LONGEST]}... ({len(name):,} characters)" if len(name) > 2 * _LONGEST else name
    return name if name.isprintable() and name else repr(name)


def described(value: object) -> str:
    """Describe a value of the wrong type in a few words, for an error message.

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
    """Return a question that suggests similar names, for the end of an error message; empty if there are none.

    Examples
    --------
    >>> did_you_mean("enrgy", ["energy", "area"]), did_you_mean("x", ["energy"])
    ('did you mean energy?', '')
    """
    close = get_close_matches(name, [*known], 3) if isinstance(name, str) else []
    return f"did you mean {' or '.join(map(printable, close))}?" if close else ""


def unexpected(error: Exception) -> str:
    r"""Return a one-line message for an unforeseen error. A lack of memory is recognised in libraries' messages, too.

    Examples
    --------
    >>> unexpected(ValueError("so\nit is"))
    'unexpected ValueError: so it is; please report this'
    """
    if isinstance(error, MemoryError) or any(words in str(error) for words in _LACK_OF_MEMORY):
        return "there is not enough memory for it"
    return " ".join(f"unexpected {type(error).__name__}: {error}; please report this".split())
