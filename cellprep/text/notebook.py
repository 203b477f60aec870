"""Notebook view of an object: a small table and a few pictures."""

import time
from base64 import b64encode
from collections.abc import Callable, Iterable, Sequence
from html import escape

from cellprep.text.wording import printable

#: Largest number of pictures shown.
MOST_PICTURES = 8

_SECONDS = 2.0  # after this time no further picture is drawn
_LONGEST = 24  # characters of a caption
_ROWS = 10  # lines in a cell of the table

#: A name and its value: one text, or several, each on a line of its own.
Row = tuple[str, str | Sequence[str]]


def notebook_html(title: str, rows: Iterable[Row], pictures: Iterable[tuple[str, bytes]] = ()) -> str:
    """Return an HTML fragment with all text escaped.

    Parameters
    ----------
    title
        Heading.
    rows
        Rows of the table.
    pictures
        Names and contents of the PNG files.

    Examples
    --------
    >>> "</th><td>a &lt; b<br>c</td>" in notebook_html("x", [("name", ["a < b", "c"])])
    True
    """
    rows_html = "".join(map(_row, rows))
    figures = "".join(_figure(_shortened(name), content) for name, content in pictures)
    table = f'<table style="text-align: left">\n{rows_html}</table>'
    return f"<div>\n<p><b>{escape(title)}</b></p>\n{table}\n{figures}</div>\n"


def _row(row: Row) -> str:
    name, value = row
    lines = "<br>".join(map(escape, _lines(value)))
    return (
        '<tr style="vertical-align: top; text-align: left">\n'
        f'<th style="white-space: nowrap; padding-right: 1em">{escape(name)}</th><td>{lines}</td></tr>\n'
    )


def _figure(name: str, content: bytes) -> str:
    source = f"data:image/png;base64,{b64encode(content).decode()}"
    return (
        '<figure style="display: inline-block; margin: 4px; text-align: center">\n'
        f'<img src="{source}" alt="{escape(name)}: cells outlined">\n'
        f'<figcaption style="font-size: small">{escape(name)}</figcaption>\n</figure>\n'
    )


def shown_in_time(images: Iterable[tuple[str, Callable[[], bytes | None]]]) -> list[tuple[str, bytes]]:
    """Return names and PNG files of the first images, as many as can be drawn in two seconds.

    Parameters
    ----------
    images
        Names, and functions that draw. An image whose function returns None or raises is left out.

    Examples
    --------
    >>> shown_in_time([("a", lambda: b"PNG"), ("b", lambda: None), ("c", lambda: 1 / 0)])
    [('a', b'PNG')]
    """
    end = time.monotonic() + _SECONDS
    pictures = []
    for name, draw in images:
        try:
            picture = draw()
        except Exception:  # noqa: BLE001 - one image that cannot be shown must not hide the others
            picture = None
        if picture:
            pictures.append((name, picture))
        if len(pictures) == MOST_PICTURES or time.monotonic() > end:
            break
    return pictures


def _lines(value: str | Sequence[str]) -> list[str]:
    lines = [value] if isinstance(value, str) else [*value]
    more = [f"and {len(lines) - _ROWS:,} more"] if len(lines) > _ROWS else []
    return [*lines[:_ROWS], *more]


def _shortened(name: str) -> str:
    name = printable(name)
    return name if len(name) <= _LONGEST else f"{name[: _LONGEST // 2]}…{name[-_LONGEST // 2 :]}"
