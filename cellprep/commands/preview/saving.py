"""Figures, and how they are saved."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

from cellprep.errors import MissingExtraError, UsageError
from cellprep.system.output import check_place, write_whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

DPI = 120
# Without these, the bytes of a picture would depend on the date.
_NO_DATES: dict[str, dict[str, Any]] = {"pdf": {"CreationDate": None}, "svg": {"Date": None}, "svgz": {"Date": None}}


def new_figure(path: Path, width: float, height: float, option: str = "--out") -> "Figure":
    """Return a figure of a size in inches for the file of an option; check the file before any work is done.

    Raises
    ------
    MissingExtraError
        If Matplotlib is not installed.
    UsageError
        If Matplotlib does not write this format.
    OutputError
        If no file can be written there.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise MissingExtraError("drawing a picture", "matplotlib", "plot") from error
    figure = Figure(figsize=(width, height), dpi=DPI, layout="constrained")
    known = figure.canvas.get_supported_filetypes()
    if _kind(path) not in known:
        raise UsageError(f"{option} {path} is not a picture: use the extension .png, or .{', .'.join(sorted(known))}")
    check_place(path)
    return figure


def save(figure: "Figure", path: Path) -> None:
    """Write a figure completely or not at all; the same figure gives the same bytes.

    Raises
    ------
    OutputError
        If it cannot be written.
    """
    from matplotlib import rc_context

    buffer = io.BytesIO()
    with rc_context({"svg.hashsalt": "cellprep"}):
        figure.savefig(buffer, format=_kind(path), metadata=_NO_DATES.get(_kind(path)))
    write_whole(path, buffer.getvalue())


def _kind(path: Path) -> str:
    return path.suffix.lower().removeprefix(".")
