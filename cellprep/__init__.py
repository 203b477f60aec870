"""Training targets for the Deep Watershed Transform from instance annotations of cells.

The steps for one image are `parse_rle` and `resolve_overlaps` (or `cells_from_labels`), then `compute_targets`;
for a whole data set `open_source` and `build_targets`. `open_store` reads what was built, and `export_labels`
gives its labels to other tools.
"""

from cellprep._version import __version__
from cellprep.annotations import READERS, open_source
from cellprep.build import BuildOptions, BuildReport, build_targets
from cellprep.errors import CellprepError
from cellprep.export import EXPORTERS, ExportReport, export_labels
from cellprep.labels import OVERLAP_RULES, Cells, cells_from_labels, resolve_overlaps
from cellprep.rle import Runs, decode_rle, encode_labels, encode_rle, format_rle, parse_rle
from cellprep.store import Store, StoredImage, open_store
from cellprep.targets import DISTANCES, PUBLISHED_BINS, TARGETS, Recipe, compute_targets, read_bins

__all__ = [
    "DISTANCES",
    "EXPORTERS",
    "OVERLAP_RULES",
    "PUBLISHED_BINS",
    "READERS",
    "TARGETS",
    "BuildOptions",
    "BuildReport",
    "CellprepError",
    "Cells",
    "ExportReport",
    "Recipe",
    "Runs",
    "Store",
    "StoredImage",
    "__version__",
    "build_targets",
    "cells_from_labels",
    "compute_targets",
    "decode_rle",
    "encode_labels",
    "encode_rle",
    "export_labels",
    "format_rle",
    "open_source",
    "open_store",
    "parse_rle",
    "read_bins",
    "resolve_overlaps",
]
