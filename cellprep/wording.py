"""Words that reports share: numbers with their nouns, and names that others chose."""

from collections.abc import Iterable

__all__ = ["count", "indented", "printable", "unexpected"]


# As OpenCV and PyTorch say it, of the processor's memory and of a graphics card's.
_LACK_OF_MEMORY = ("Insufficient memory", "can't allocate memory", "out of memory")


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


def printable(name: str) -> str:
    r"""Return a name as one line that no terminal acts on: ids and types come from files of others.

    Examples
    --------
    >>> print(printable("0e12"), printable("two\nlines"), printable(""))
    0e12 'two\nlines' ''
    """
    return name if name.isprintable() and name else repr(name)


def unexpected(error: Exception) -> str:
    r"""Return one line about an error that nobody foresaw, unless it is a library's own word for a lack of memory.

    Examples
    --------
    >>> unexpected(ValueError("so\nit is"))
    'unexpected ValueError: so it is; please report this'
    """
    if any(words in str(error) for words in _LACK_OF_MEMORY):
        return "there is not enough memory for it"
    return " ".join(f"unexpected {type(error).__name__}: {error}; please report this".split())
