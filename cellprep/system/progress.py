"""Progress of a long run: a bar in a terminal, occasional lines in a log file."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tqdm import tqdm

_SECONDS_BETWEEN_LINES = 60.0
_LINE = "{desc}{n_fmt} of {total_fmt}{unit}s, {elapsed} so far, about {remaining} left{postfix}"

_unsaid: list[str] = []  # lines to print when the next long task begins


def say_first(*lines: str) -> None:
    """Set the lines to print when the next long task begins; earlier ones are discarded.

    If the command fails before that, it prints only the error, and nothing about work that was not done.
    """
    _unsaid[:] = lines


def take_unsaid() -> list[str]:
    """Return the lines that are still to be printed, and forget them."""
    lines = [*_unsaid]
    _unsaid.clear()
    return lines


@contextmanager
def passing_words(words: str, *, quiet: bool) -> Iterator[None]:
    """Show a message on a terminal while something runs, then erase it; nothing appears in log files."""
    shows = sys.stderr.isatty() and not quiet
    if shows:
        sys.stderr.write(f"{words} ...\r")
        sys.stderr.flush()
    try:
        yield
    finally:
        if shows:
            sys.stderr.write("\x1b[2K")
            sys.stderr.flush()


def progress_bar(total: int, unit: str, *, quiet: bool, **options: Any) -> "tqdm[Any]":
    """Return a progress bar on standard error. Without a terminal, it prints at most one line a minute.

    Parameters
    ----------
    total
        Number of items.
    unit
        Singular noun for an item.
    quiet
        Whether to hide the bar.
    **options
        Options of `tqdm.tqdm`.
    """
    from tqdm import tqdm

    for line in take_unsaid() if not quiet else ():
        sys.stderr.write(line + "\n")
    if quiet or sys.stderr.isatty():
        return tqdm(total=total, unit=f" {unit}", disable=quiet, **{"smoothing": 0.1, **options})
    options.pop("position", None)
    if options.get("desc"):
        options["desc"] += ": "
    return tqdm(
        total=total,
        unit=f" {unit}",
        file=_Lines(),
        bar_format=_LINE,
        delay=_SECONDS_BETWEEN_LINES,
        mininterval=_SECONDS_BETWEEN_LINES,
        miniters=1,
        **{"smoothing": 0.1, **options},
    )


class _Lines:
    """A stream that writes each state of a bar on a line of its own instead of overwriting the last."""

    def write(self, text: str) -> None:
        if line := text.strip():
            sys.stderr.write(line + "\n")

    def flush(self) -> None:
        sys.stderr.flush()
