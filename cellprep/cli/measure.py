"""The command for measuring cells."""

from pathlib import Path
from typing import Annotated

import typer

from cellprep.cli.declare import command
from cellprep.cli.options import SourcePath
from cellprep.cli.words import announced, tell
from cellprep.commands.measure import MeasureOptions, measure_to_file
from cellprep.formats.readers import SourceOptions
from cellprep.system.output import check_place


@command("measure", writes=("out",))
def measure_command(
    source: SourcePath,
    *,
    out: Annotated[Path, typer.Option(help="Table to write: .csv, .tsv or .parquet.", rich_help_panel="Output")] = Path(
        "cells.csv"
    ),
    reading: SourceOptions,
    options: MeasureOptions,
) -> None:
    """Measure sizes, shapes, neighbours and intensities of cells: a table with a row for each cell.

    Names and values are those of scikit-image's regionprops_table. If the pixel size is known, lengths and areas are
    also given in micrometres, in columns that end in _um and _um2.

    Example: `cellprep measure data.zarr --out cells.csv`
    """
    check_place(out)
    known = announced(reading.open(source), options.quiet, out)
    tell(measure_to_file(known, out, options), options.quiet, *known.notes)
