"""Training targets for the Deep Watershed Transform from instance annotations of cells.

The steps for one image are `parse_rle` and `resolve_overlaps` (or `cells_from_labels`), then `compute_targets`;
for a whole data set `open_source`, `check_source` and `build_targets`. `open_store` reads what was built,
`describe_store` tells what it holds, `verify_store` whether it is whole, `fit_bins` fits energy bins to it,
`export_labels` gives its labels to other tools, `convert` any annotations or predictions, and `split_source` makes
folds. `evaluate` scores predicted cells against true ones; `score_image` and `summarise` do so without files.
`preview_store` draws what a store holds.
"""

from cellprep.system.starting import begin  # noqa: F401 - before all that takes time to load

# isort: split
from cellprep._version import __version__
from cellprep.commands.build_targets import BuildOptions, BuildReport, build_targets
from cellprep.commands.check import RULES, CheckOptions, CheckReport, check_source
from cellprep.commands.convert import ConvertOptions, ConvertReport, convert
from cellprep.commands.evaluate import EvaluationOptions, EvaluationReport, draw_worst, evaluate
from cellprep.commands.export import EXPORTERS, ExportReport, export_labels
from cellprep.commands.fit_bins import FittedBins, fit_bins
from cellprep.commands.info import StoreInfo, describe_store
from cellprep.commands.napari import napari_layers
from cellprep.commands.preview import Crop, PreviewOptions, preview_store
from cellprep.commands.roundtrip import RoundtripOptions, RoundtripReport, roundtrip
from cellprep.commands.split import Split, SplitOptions, split_source
from cellprep.commands.verify import VerifyReport, verify_store
from cellprep.core.cells import OVERLAP_RULES, Cells, cells_from_labels, resolve_overlaps
from cellprep.core.decode import DECODERS, energy_to_labels
from cellprep.core.rle import Runs, decode_rle, encode_labels, encode_rle, format_rle, parse_rle
from cellprep.core.scores import IOU_THRESHOLDS, ImageScore, score_image, summarise
from cellprep.core.targets import (
    BIN_METHODS,
    BIN_PRESETS,
    DISTANCES,
    PUBLISHED_BINS,
    TARGETS,
    BinPreset,
    Recipe,
    compute_targets,
    read_bins,
)
from cellprep.errors import CellprepError
from cellprep.formats.readers import READERS, open_prediction, open_source
from cellprep.store import Store, StoredImage, open_store

__all__ = [
    "BIN_METHODS",
    "BIN_PRESETS",
    "DECODERS",
    "DISTANCES",
    "EXPORTERS",
    "IOU_THRESHOLDS",
    "OVERLAP_RULES",
    "PUBLISHED_BINS",
    "READERS",
    "RULES",
    "TARGETS",
    "BinPreset",
    "BuildOptions",
    "BuildReport",
    "CellprepError",
    "Cells",
    "CheckOptions",
    "CheckReport",
    "ConvertOptions",
    "ConvertReport",
    "Crop",
    "EvaluationOptions",
    "EvaluationReport",
    "ExportReport",
    "FittedBins",
    "ImageScore",
    "PreviewOptions",
    "Recipe",
    "RoundtripOptions",
    "RoundtripReport",
    "Runs",
    "Split",
    "SplitOptions",
    "Store",
    "StoreInfo",
    "StoredImage",
    "VerifyReport",
    "__version__",
    "build_targets",
    "cells_from_labels",
    "check_source",
    "compute_targets",
    "convert",
    "decode_rle",
    "describe_store",
    "draw_worst",
    "encode_labels",
    "encode_rle",
    "energy_to_labels",
    "evaluate",
    "export_labels",
    "fit_bins",
    "format_rle",
    "napari_layers",
    "open_prediction",
    "open_source",
    "open_store",
    "parse_rle",
    "preview_store",
    "read_bins",
    "resolve_overlaps",
    "roundtrip",
    "score_image",
    "split_source",
    "summarise",
    "verify_store",
]
